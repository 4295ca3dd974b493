"""Laws of jobs: each row once, wherever a runner dies; and rows of a file do what single requests do."""

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from contracts import logs
from devices_api.access import ROOT, Principal, Scope
from devices_api.database import transaction
from devices_api.errors import ExistsError, OutOfSightError, UnknownGroupError
from devices_api.jobs import bulk
from devices_api.jobs.device_files import DeviceFile, Row, TextFormat
from devices_api.jobs.job_devices import DeviceExport, DeviceImport
from devices_api.jobs.job_repository import LEASE_NS, MOST_ATTEMPTS, Jobs
from devices_api.jobs.job_runner import Build, Doing, Runner, Steps
from devices_api.jobs.jobs import Job, Kind, Mode, NewJob, State, Step
from devices_api.metrics import Metrics
from devices_api.registry import changing
from devices_api.registry.devices import NewDevice
from devices_api.tables import device, group, member, metadata, outbox, searched, tag
from devices_api.tables_access import audit_log
from devices_api.tables_jobs import job_report
from tests.unit.devices_api.conftest import NOW

FEW = 2
LINES = [*(f'{{"id": "d{number}", "tags": {{"n": "{number}"}}}}' for number in range(7)), '{"id": "d1"}', "{}"]
FILE = "\n".join(LINES).encode()


class KilledError(BaseException):
    """The runner's process ends."""


class Mortal:
    """A work whose process ends at one of the points that it passes: before a step, within it, and after it."""

    def __init__(self, work: Steps, point: Callable[[], None]) -> None:
        self._work, self._point = work, point

    async def ahead(self, job: Job) -> Doing:
        self._point()
        do = await self._work.ahead(job)

        async def doing(db: AsyncConnection, now: int) -> Step:
            step = await do(db, now)
            self._point()
            return step

        return doing

    def close(self) -> None:
        self._work.close()


async def nothing(_: str) -> bool:
    return False


class World:
    """A database, and runners one after the other, each of which passes so many points and dies."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine, self.jobs, self.now = engine, Jobs(engine), NOW

    def runner(self, points: int) -> Runner:
        left = iter(range(points))

        def point() -> None:
            if next(left, None) is None:
                raise KilledError

        def mortal(build: Callable[..., Steps], job: Job, path: Path) -> Steps:
            return Mortal(build(job, path, FEW), point)

        builds: dict[str, Build] = {
            Kind.IMPORT_DEVICES: functools.partial(mortal, functools.partial(DeviceImport, has=nothing)),
            Kind.EXPORT_DEVICES: functools.partial(mortal, DeviceExport),
        }
        return Runner(self.jobs, builds, point, Metrics(lambda: True), logs.quiet(), lambda: self.now)

    async def run(self, job: Job, deaths: list[int]) -> Job:
        for points in (*deaths, 1000):
            try:
                await self.runner(points).one()
            except KilledError:
                assert not await self.runner(1000).one(), "it is still in the dead one's hands"
                self.now += LEASE_NS + 1
        found = await self.jobs.get(job.id)
        assert found is not None
        return found

    async def start(self, new: NewJob, file: bytes) -> Job:
        job = await self.jobs.begin(new, ROOT, self.now, 99, uploading=True)
        for number, at in enumerate(range(0, len(file), 50)):
            await self.jobs.append(job.id, number, file[at : at + 50], self.now)
        return await self.jobs.uploaded(job.id)

    async def empty(self) -> None:
        async with transaction(self.engine) as db:
            for table in reversed(metadata.sorted_tables):
                await db.execute(delete(table))


_dying = st.lists(st.integers(0, 14), max_size=MOST_ATTEMPTS - 1)
_settings = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(deaths=_dying, dry=st.booleans())
@example(deaths=[0, 1, 2, 3], dry=False)
@_settings
def test_each_row_is_done_once_wherever_runners_die(
    runner: asyncio.Runner, tables: AsyncEngine, deaths: list[int], *, dry: bool
) -> None:
    async def law() -> None:
        world = World(tables)
        new = NewJob(Kind.IMPORT_DEVICES, {"format": "jsonl", "mode": "create"}, dry)
        job = await world.run(await world.start(new, FILE), deaths)
        assert (job.state, job.done, job.total, job.applied, job.rejected) == (State.SUCCEEDED, 9, 9, 7, 2)
        async with transaction(tables) as db:
            reported = list(await db.scalars(select(job_report.c.number).order_by(job_report.c.number)))
            versions = list(await db.scalars(select(device.c.version)))
            audited = await db.scalars(select(audit_log.c.target).where(audit_log.c.action == "device.create"))
            targets = sorted(audited)
        assert reported == [8, 9]
        assert versions == ([] if dry else [1] * 7)
        assert targets == ([] if dry else [f"device/d{number}" for number in range(7)])
        if not dry:
            export = await world.jobs.begin(
                NewJob(Kind.EXPORT_DEVICES, {"format": "jsonl", "filter": None}), ROOT, world.now, 9
            )
            job = await world.run(export, deaths)
            assert (job.state, job.done, job.total) == (State.SUCCEEDED, 7, 7)
            written = b"".join([piece async for piece in _pieces(world.jobs, job.id)])
            assert [line[7:9] for line in written.splitlines()] == [b"d%d" % number for number in range(7)]
        await world.empty()

    runner.run(law())


async def _pieces(jobs: Jobs, id_: str) -> AsyncIterator[bytes]:
    number = 0
    while (piece := await jobs.piece(id_, "result", number)) is not None:
        yield piece
        number += 1


def test_a_job_on_which_every_runner_dies_is_given_up(runner: asyncio.Runner, tables: AsyncEngine) -> None:
    async def law() -> None:
        world = World(tables)
        new = NewJob(Kind.IMPORT_DEVICES, {"format": "jsonl", "mode": "create"})
        job = await world.run(await world.start(new, FILE), [0] * MOST_ATTEMPTS)
        assert (job.state, job.done) == (State.FAILED, 0)
        assert "5 times" in job.error
        await world.empty()

    runner.run(law())


def test_two_runners_share_the_jobs_and_do_each_once(runner: asyncio.Runner, tables: AsyncEngine) -> None:
    async def law() -> None:
        world = World(tables)
        new = NewJob(Kind.IMPORT_DEVICES, {"format": "jsonl", "mode": "upsert"})
        ids = [(await world.start(new, FILE)).id for _ in range(4)]
        taken: list[bool] = []

        async def work() -> None:
            one = world.runner(1000)
            while await one.one():
                taken.append(True)

        await asyncio.gather(work(), work())
        assert len(taken) == len(ids)
        ended = [await world.jobs.get(id_) for id_ in ids]
        assert [(job.state, job.applied, job.rejected) for job in ended if job] == [(State.SUCCEEDED, 8, 1)] * 4
        async with transaction(tables) as db:
            audited = await db.scalars(select(audit_log.c.target).where(audit_log.c.action == "device.create"))
            assert len(list(audited)) == 7
        await world.empty()

    runner.run(law())


_row = st.fixed_dictionaries(
    {"id": st.sampled_from(["a", "b", "gone", "hidden"])},
    optional={
        "name": st.sampled_from(["A", "B"]),
        "tags": st.dictionaries(st.sampled_from(["k", "l"]), st.sampled_from(["1", "2"])),
        "groups": st.lists(st.sampled_from(["top", "low", "other", "none"]), max_size=2),
        "enabled": st.booleans(),
        "attributes": st.dictionaries(st.just("x"), st.integers(0, 1)),
        "location": st.sampled_from([None, {"latitude": 1, "longitude": 2}]),
    },
)


@given(rows=st.lists(_row, max_size=6), mode=st.sampled_from(Mode), limited=st.booleans(), dry=st.booleans())
@_settings
def test_rows_do_what_single_requests_do_one_after_the_other(
    runner: asyncio.Runner,
    tables: AsyncEngine,
    tmp_path: Path,
    rows: list[dict[str, Any]],
    mode: Mode,
    *,
    limited: bool,
    dry: bool,
) -> None:
    by = Principal("p", frozenset({Scope.WRITE}), frozenset({"top"}) if limited else None)
    path = tmp_path / "rows"
    path.write_text("\n".join(map(json.dumps, rows)))
    file = DeviceFile(path, TextFormat.JSONL)
    read = [row for row, _ in file.rows(file.begin, 1)]
    file.close()

    async def law() -> None:
        before = await _after(tables, None)
        singly = await _after(tables, lambda db: _singly(db, read, mode, by))
        known: set[str] | None = set() if dry else None
        at_once = await _after(tables, lambda db: bulk.take(db, read, mode, by, NOW, dry=known))
        assert [bool(wrong) for wrong in at_once[0]] == [bool(wrong) for wrong in singly[0]]
        assert at_once[1] == (before[1] if dry else singly[1])

    runner.run(law())


async def _after(engine: AsyncEngine, do: Callable[[AsyncConnection], Any] | None) -> tuple[list[str], list[list[Any]]]:
    """Give what is said and what the tables hold after something was done; nothing of it is kept."""
    async with engine.connect() as db, db.begin() as whole:
        for id_, path in (("top", "/top/"), ("low", "/top/low/"), ("other", "/other/")):
            parent = "top" if id_ == "low" else None
            row = {"id": id_, "name": id_, "parent": parent, "path": path, "created": 0, "updated": 0}
            await db.execute(group.insert().values(row))
        for id_, groups in (("b", ["low", "other"]), ("gone", ["top"]), ("hidden", ["other"])):
            new = NewDevice(id_, "A", tags={"k": "1"}, groups=groups)
            await changing.create(db, new, ROOT, 1)
        await changing.remove(db, "gone", ROOT, 1)
        await db.execute(delete(outbox))
        await db.execute(delete(audit_log))
        said = [] if do is None else await do(db)
        held = [
            sorted(map(repr, (await db.execute(select(*columns))).all()))
            for columns in (
                device.c,
                member.c,
                tag.c,
                searched.c,
                [audit_log.c.action, audit_log.c.target, audit_log.c.before, audit_log.c.after, audit_log.c.who],
            )
        ]
        held.append(sorted(set(await db.scalars(select(outbox.c.device)))))
        await whole.rollback()
    return said, held


async def _singly(db: AsyncConnection, rows: list[Row], mode: Mode, by: Principal) -> list[str]:
    said = []
    for row in rows:
        assert row.new is not None
        there = await changing.find(db, row.id, by.view, deleted=True)
        try:
            if mode is Mode.CREATE or (mode is Mode.UPSERT and (there is None or there.deleted is not None)):
                await changing.create(db, row.new, by, NOW)
                said.append("")
            else:
                said.append("" if await changing.change(db, row.id, row.change, by, NOW) else "unknown")
        except (ExistsError, UnknownGroupError, OutOfSightError) as error:
            said.append(repr(error))
    return said
