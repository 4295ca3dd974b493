"""The runner: takes one job after the other in hand, and does it step by step."""

import asyncio
import contextlib
import secrets
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.logs import Log
from contracts.times import SECOND
from devices_api.errors import UnavailableError
from devices_api.jobs.job_repository import Jobs
from devices_api.jobs.jobs import BadFileError, Job, LostError, State, Step
from devices_api.metrics import Metrics
from devices_api.rounds import Rounds

KEPT_NS = 7 * 86_400 * SECOND
"""How long a job that has ended is kept, with its report and its result."""

_POLL_S = 1.0
_AGAIN_NS = 10 * SECOND
_SWEEP_NS = 60 * SECOND
_PIECES_AT_ONCE = 64
_RENEW_AT = 64

Doing = Callable[[AsyncConnection, int], Awaitable[Step]]
"""Does a step at a time, within a transaction in which it is noted as well: either both are kept or neither."""


class Steps(Protocol):
    """A job being done. Both methods may raise UnavailableError, and BadFileError if it cannot go on at all."""

    async def ahead(self, job: Job) -> Doing:
        """Do what a step has to do outside of its transaction, which may come again; gives what is to be done in it."""

    def close(self) -> None:
        """Let go of everything."""


Build = Callable[[Job, Path], Steps]
"""Begins a job, or goes on with it from its position. The file is what was sent for it."""


class Runner:
    """Runs jobs until `finish`, which comes after the step in hand. `changed` is called after each step."""

    def __init__(
        self,
        jobs: Jobs,
        builds: Mapping[str, Build],
        changed: Callable[[], None],
        metrics: Metrics,
        log: Log,
        now: Callable[[], int],
    ) -> None:
        self._jobs, self._builds, self._changed = jobs, builds, changed
        self._metrics, self._log, self._now = metrics, log, now
        self._rounds = Rounds(_POLL_S, "jobs.behind", log)
        self._sweep_at = 0

    def wake(self) -> None:
        """Tell that there is a job."""
        self._rounds.wake()

    def finish(self) -> None:
        """Let `run` return after the step in hand; another replica goes on with the job, or this one later."""
        self._rounds.finish()

    async def run(self) -> None:
        """Run jobs, and sweep out old ones, until `finish`."""
        await self._rounds.run(self._round)

    async def _round(self) -> None:
        while not self._rounds.stopping and await self.one():
            self._sweep_at = 0  # it may have left a file
        if not self._rounds.stopping and self._now() >= self._sweep_at:
            await self._sweep()

    async def one(self) -> bool:
        """Take a job in hand and do it to its end, or as far as it goes; False if there is none."""
        job = await self._jobs.claim(secrets.token_hex(16), self._now())
        if job is None:
            return False
        self._log.info("job.begun", job=job.id, kind=job.kind, done=job.done)
        try:
            with tempfile.TemporaryDirectory(prefix="sensorium-job-") as folder:
                file = Path(folder) / "upload"
                await self._fetch(job, file)
                work = await asyncio.to_thread(self._builds[job.kind], job, file)
                try:
                    job = await self._steps(job, work)
                finally:
                    await asyncio.to_thread(work.close)
        except LostError:
            self._log.info("job.lost", job=job.id)
        except UnavailableError as error:
            self._log.info("job.put_off", job=job.id, error=str(error))
            with contextlib.suppress(LostError):
                await self._jobs.put_off(job, self._now() + _AGAIN_NS)
        except BadFileError as error:
            await self._fail(job, str(error))
        except Exception:  # noqa: BLE001 - whatever it is, the job has to end
            self._log.exception("job.failed", job=job.id)
            await self._fail(job, "This is a bug in the service; its log has the details.")
        return True

    async def _steps(self, job: Job, work: Steps) -> Job:
        while job.state == State.RUNNING:
            if self._rounds.stopping:
                await self._jobs.put_off(job, 0)
                return job
            do = await work.ahead(job)
            now = self._now()
            async with self._jobs.stepping(job, now) as db:
                step = await do(db, now)
                after = await self._jobs.note(db, job, step, now)
            self._metrics.job_rows.labels(job.kind, "applied").inc(step.applied)
            self._metrics.job_rows.labels(job.kind, "rejected").inc(len(step.rejected))
            job = after
            self._changed()
        self._metrics.jobs.labels(job.kind, job.state).inc()
        self._log.info("job.ended", job=job.id, done=job.done, applied=job.applied, rejected=job.rejected)
        return job

    async def _fetch(self, job: Job, file: Path) -> None:
        """Write what was sent for a job into a file of this machine, which can be read at any place."""
        number = 0
        with file.open("wb") as whole:
            while (data := await self._jobs.piece(job.id, "upload", number)) is not None:
                try:
                    await asyncio.to_thread(whole.write, data)
                except OSError as error:
                    raise BadFileError(f"there is no room for the file where it is to be read: {error}") from error
                number += 1
                if number % _RENEW_AT == 0:
                    await self._jobs.renew(job, self._now())

    async def _fail(self, job: Job, error: str) -> None:
        with contextlib.suppress(LostError):
            await self._jobs.fail(job, error, self._now())
            self._metrics.jobs.labels(job.kind, State.FAILED).inc()

    async def _sweep(self) -> None:
        while await self._jobs.drop_files(_PIECES_AT_ONCE) == _PIECES_AT_ONCE and not self._rounds.stopping:
            pass
        now = self._now()
        while await self._jobs.drop(now - KEPT_NS, now, _PIECES_AT_ONCE) and not self._rounds.stopping:
            pass
        self._sweep_at = now + _SWEEP_NS
