"""Jobs in the registry database. Each method is one transaction, but for `stepping`, whose caller works within it.

Every method raises UnavailableError if the database cannot be reached now. A job is in one replica's hands for
`LEASE_NS`, which each of its steps renews: what is written of a job is written only while it is in the hands of whoever
writes.
"""

import contextlib
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, and_, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from devices_api.access import Principal
from devices_api.audit import audit
from devices_api.database import WRITE, transaction
from devices_api.errors import TooMuchError
from devices_api.jobs.jobs import (
    LONGEST_PROBLEM,
    LONGEST_SUBJECT,
    MOST_REPORTED,
    OPEN,
    Job,
    LostError,
    NewJob,
    Rejected,
    State,
    Step,
    printable,
)
from devices_api.tables_jobs import job, job_file, job_report
from devices_api.twins.commands import new_id

LEASE_NS = 60_000_000_000
"""How long a job stays with a replica that says nothing more of it."""
UPLOAD_NS = 600_000_000_000
"""How long a file may be on its way without another piece of it."""
MOST_ATTEMPTS = 5
"""How often a job is begun, or gone on with, without coming any further."""
MOST_KEPT = 200
"""Jobs that have ended, of which the newest are kept."""

FileKind = Literal["upload", "result"]


class Jobs:
    """Reads and changes them."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**WRITE)

    async def begin(self, new: NewJob, by: Principal, now: int, most: int, *, uploading: bool = False) -> Job:
        """Begin a job; one that is `uploading` waits for its file. Raises TooMuchError if `most` have not ended."""
        made = Job(
            id=new_id(now, secrets.token_hex(8)),
            kind=new.kind,
            state=State.UPLOADING if uploading else State.QUEUED,
            params=new.params,
            dry_run=new.dry_run,
            done=0,
            total=None,
            applied=0,
            rejected=0,
            created=now,
            started=None,
            finished=None,
            who=by.name,
            key=by.key,
            groups=None if by.view is None else sorted(by.view),
            request=by.request,
            claimed_by="",
            claimed_until=now + UPLOAD_NS if uploading else 0,
            attempts=0,
            position={},
            error="",
        )
        async with transaction(self._writing) as db:
            waiting = await db.scalar(select(func.count()).where(job.c.state.in_(OPEN)))
            if (waiting or 0) >= most:
                raise TooMuchError(f"{waiting} jobs have not ended, and at most {most} may be")
            await db.execute(insert(job).values(vars(made)))
            after = {"kind": new.kind, "dry_run": new.dry_run} | new.params
            await audit(db, by, "job.start", f"job/{made.id}", None, after, now)
        return made

    async def append(self, id_: str, number: int, data: bytes, now: int) -> None:
        """Add a piece to the file that a job waits for. Raises LostError if it does not."""
        async with transaction(self._writing) as db:
            await _change(db, _uploading(id_), claimed_until=now + UPLOAD_NS)
            await db.execute(insert(job_file).values(job=id_, kind="upload", number=number, data=data))

    async def uploaded(self, id_: str) -> Job:
        """Let a job be run: its file is whole. Raises LostError."""
        async with transaction(self._writing) as db:
            await _change(db, _uploading(id_), state=State.QUEUED, claimed_until=0)
            return _job((await db.execute(select(job).where(job.c.id == id_))).one())

    async def forget(self, id_: str) -> None:
        """Drop a job whose file did not come."""
        async with transaction(self._writing) as db:
            await db.execute(delete(job).where(_uploading(id_)))

    async def claim(self, token: str, now: int) -> Job | None:
        """Take the oldest job that nobody has in hand; None if there is none.

        A dry run that somebody had in hand begins anew: what it knew of the file before is gone.
        """
        waiting = or_(job.c.state == State.QUEUED, job.c.state == State.RUNNING)
        query = select(job).where(waiting, job.c.claimed_until <= now).order_by(job.c.id).limit(1)
        async with transaction(self._writing) as db:
            row = (await db.execute(query.with_for_update(skip_locked=True))).first()
            if row is None:
                return None
            found = _job(row)
            given_up = found.attempts >= MOST_ATTEMPTS
            new: dict[str, Any] = {"state": State.RUNNING, "claimed_by": token, "claimed_until": now + LEASE_NS}
            new |= {"attempts": found.attempts + 1, "started": now if found.started is None else found.started}
            if found.dry_run:
                new |= {"position": {}, "done": 0, "applied": 0, "rejected": 0}
                await db.execute(delete(job_report).where(job_report.c.job == found.id))
            if given_up:
                error = f"it was begun {MOST_ATTEMPTS} times and came no further"
                new |= {"state": State.FAILED, "claimed_by": "", "finished": now, "error": error}
            await _change(db, job.c.id == found.id, **new)
        return await self.claim(token, now) if given_up else replace(found, **new)

    async def put_off(self, held: Job, until: int) -> None:
        """Let go of a job until `until`, because something that it needs is away. Raises LostError."""
        async with transaction(self._writing) as db:
            await _change(db, _held(held), claimed_by="", claimed_until=until, attempts=job.c.attempts - 1)

    async def renew(self, held: Job, now: int) -> None:
        """Keep a job in hand. Raises LostError."""
        async with transaction(self._writing) as db:
            await _change(db, _held(held), claimed_until=now + LEASE_NS)

    @contextlib.asynccontextmanager
    async def stepping(self, held: Job, now: int) -> AsyncIterator[AsyncConnection]:
        """Give the transaction in which a step is done and noted. Raises LostError before anything is done."""
        async with transaction(self._writing) as db:
            await _change(db, _held(held), claimed_until=now + LEASE_NS)  # it is ours to the end of the transaction
            yield db

    async def note(self, db: AsyncConnection, held: Job, step: Step, now: int) -> Job:
        """Write down what a step has come to, within its transaction; returns the job as it is then."""
        new: dict[str, Any] = {
            "position": step.position,
            "done": held.done + step.rows,
            "applied": held.applied + step.applied,
            "rejected": held.rejected + len(step.rejected),
            "total": held.total if step.total is None else step.total,
            "attempts": 0,
        }
        if step.ended:
            new |= {"state": State.SUCCEEDED, "claimed_by": "", "claimed_until": 0, "finished": now}
            new |= {"total": new["done"]}
        await _change(db, _held(held), **new)
        if kept := step.rejected[: max(0, MOST_REPORTED - held.rejected)]:
            await db.execute(insert(job_report), [_report(held.id, item) for item in kept])
        if step.output:
            await _output(db, held.id, step.output)
        after = replace(held, **new)
        if step.ended:
            counts = {name: getattr(after, name) for name in ("done", "applied", "rejected")}
            await audit(db, held.by, "job.end", f"job/{held.id}", None, counts | {"dry_run": held.dry_run}, now)
        return after

    async def fail(self, held: Job, error: str, now: int) -> None:
        """Give a job up. Raises LostError."""
        ended = {"state": State.FAILED, "claimed_by": "", "claimed_until": 0, "finished": now}
        async with transaction(self._writing) as db:
            await _change(db, _held(held), error=printable(error, LONGEST_PROBLEM), **ended)
            await audit(db, held.by, "job.fail", f"job/{held.id}", None, {"error": error}, now)

    async def cancel(self, id_: str, by: Principal, now: int) -> Job | None:
        """End a job that has not ended; returns it as it is then, or None if there is none."""
        async with transaction(self._writing) as db:
            row = (await db.execute(select(job).where(job.c.id == id_).with_for_update())).first()
            if row is None:
                return None
            found = _job(row)
            if found.state not in OPEN:
                return found
            new: dict[str, Any] = {"state": State.CANCELLED, "claimed_by": "", "claimed_until": 0, "finished": now}
            await _change(db, job.c.id == id_, **new)
            await audit(db, by, "job.cancel", f"job/{id_}", {"state": found.state}, {"state": State.CANCELLED}, now)
            return replace(found, **new)

    async def get(self, id_: str) -> Job | None:
        """Return a job, or None if there is none."""
        async with transaction(self._engine) as db:
            row = (await db.execute(select(job).where(job.c.id == id_))).first()
            return None if row is None else _job(row)

    async def page(self, who: Principal, before: str | None, limit: int) -> list[Job]:
        """Return the newest `limit` jobs older than `before` that `who` may see, newest first."""
        query = select(job).order_by(job.c.id.desc()).limit(limit)
        if who.view is not None:
            query = query.where(job.c.who == who.name, job.c.key == who.key)
        if before is not None:
            query = query.where(job.c.id < before)
        async with transaction(self._engine) as db:
            return [_job(row) for row in await db.execute(query)]

    async def report(self, id_: str, after: int, limit: int) -> list[Rejected]:
        """Return the first `limit` rejected rows of a job after row `after`."""
        query = select(job_report).where(job_report.c.job == id_, job_report.c.number > after)
        async with transaction(self._engine) as db:
            rows = await db.execute(query.order_by(job_report.c.number).limit(limit))
            return [Rejected(row.number, row.subject, row.problem) for row in rows]

    async def piece(self, id_: str, kind: FileKind, number: int) -> bytes | None:
        """Return a piece of a job's file, or None after the last."""
        where = (job_file.c.job == id_, job_file.c.kind == kind, job_file.c.number == number)
        async with transaction(self._engine) as db:
            return await db.scalar(select(job_file.c.data).where(*where))

    async def size(self, id_: str, kind: FileKind) -> int:
        """Return how many bytes a job's file has."""
        query = select(func.sum(func.length(job_file.c.data))).where(job_file.c.job == id_, job_file.c.kind == kind)
        async with transaction(self._engine) as db:
            return int(await db.scalar(query) or 0)

    async def drop_files(self, limit: int) -> int:
        """Delete `limit` pieces of files that jobs that have ended need no more; returns how many there were."""
        ended = and_(job_file.c.job == job.c.id, job.c.state.not_in(OPEN))
        needless = or_(job_file.c.kind == "upload", job.c.state != State.SUCCEEDED)
        query = select(job_file.c.job, job_file.c.kind, job_file.c.number).join(job, ended).where(needless).limit(limit)
        async with transaction(self._writing) as db:
            return await _drop_pieces(db, (await db.execute(query)).all())

    async def drop(self, before: int, now: int, limit: int) -> int:
        """Delete jobs that ended before `before`, those beyond the newest MOST_KEPT, and uploads that broke off.

        At most `limit` pieces of their files and rows of their reports, and one job; returns how many that were.
        """
        kept = select(job.c.id).where(job.c.finished.is_not(None)).order_by(job.c.id.desc()).limit(MOST_KEPT)
        beyond = and_(job.c.finished.is_not(None), job.c.id.not_in(kept.scalar_subquery()))
        broken = and_(job.c.state == State.UPLOADING, job.c.claimed_until < now)
        query = select(job.c.id).where(or_(job.c.finished < before, beyond, broken)).order_by(job.c.id).limit(1)
        async with transaction(self._writing) as db:
            id_ = await db.scalar(query)
            if id_ is None:
                return 0
            pieces = select(job_file.c.job, job_file.c.kind, job_file.c.number).where(job_file.c.job == id_)
            dropped = await _drop_pieces(db, (await db.execute(pieces.limit(limit))).all())
            if dropped < limit:
                await db.execute(delete(job).where(job.c.id == id_))
            return dropped + 1


def _job(row: Row[Any]) -> Job:
    values = dict(row._mapping)  # noqa: SLF001 - the documented way to a row's names
    return Job(**values | {"state": State(values["state"])})


def _held(held: Job) -> ColumnElement[bool]:
    return and_(job.c.id == held.id, job.c.claimed_by == held.claimed_by, job.c.state == State.RUNNING)


def _uploading(id_: str) -> ColumnElement[bool]:
    return and_(job.c.id == id_, job.c.state == State.UPLOADING)


async def _change(db: AsyncConnection, where: ColumnElement[bool], **new: Any) -> None:  # noqa: ANN401 - columns
    if (await db.execute(update(job).where(where).values(**new))).rowcount == 0:
        raise LostError


def _report(id_: str, item: Rejected) -> dict[str, Any]:
    subject, problem = printable(item.subject, LONGEST_SUBJECT), printable(item.problem, LONGEST_PROBLEM)
    return {"job": id_, "number": item.number, "subject": subject, "problem": problem}


async def _output(db: AsyncConnection, id_: str, data: bytes) -> None:
    where = (job_file.c.job == id_, job_file.c.kind == "result")
    last = await db.scalar(select(func.max(job_file.c.number)).where(*where))
    number = 0 if last is None else last + 1
    await db.execute(insert(job_file).values(job=id_, kind="result", number=number, data=data))


async def _drop_pieces(db: AsyncConnection, pieces: Sequence[Any]) -> int:
    for piece in pieces:
        where = (job_file.c.job == piece.job, job_file.c.kind == piece.kind, job_file.c.number == piece.number)
        await db.execute(delete(job_file).where(*where))
    return len(pieces)
