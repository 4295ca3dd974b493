"""Jobs about devices: to import them from a file, and to export them into one."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from devices_api.jobs import bulk
from devices_api.jobs.device_files import DeviceFile, Row, TextFormat, begin, lines
from devices_api.jobs.job_runner import Doing
from devices_api.jobs.jobs import BadFileError, Job, Mode, Rejected, Step
from devices_api.lists import listing
from devices_api.lists.choice import Chosen, Order, Position
from devices_api.lists.filters import parse
from devices_api.tables import device

ROWS_AT_ONCE = 100
"""Devices that a step imports: while it decides what becomes of them, no request is answered."""
AT_ONCE = 250
"""Devices that a step exports."""
MOST_ROWS = 1_000_000
"""Rows that are imported at most; of a dry run, all their ids are held."""


class DeviceImport:
    """Applies the rows of a file, or with `dry_run` only says what would become of them.

    `has` tells whether a device has telemetry. A key that is limited to groups cannot register such an id: it would see
    what a device sent that it did not see.
    """

    def __init__(
        self, job: Job, path: Path, at_once: int = ROWS_AT_ONCE, *, has: Callable[[str], Awaitable[bool]]
    ) -> None:
        self._at_once, self._has = at_once, has
        self._file = DeviceFile(path, TextFormat(job.params["format"]))
        self._mode = Mode(job.params["mode"])
        self._dry: set[str] | None = set() if job.dry_run else None

    async def ahead(self, job: Job) -> Doing:
        """Read the next rows."""
        total = await asyncio.to_thread(self._counted) if job.total is None else job.total
        rows, position = await asyncio.to_thread(self._read, job)
        limited = job.by.view is not None
        taken = {row.id for row in rows if await self._has(row.id)} if limited else set[str]()

        async def do(db: AsyncConnection, now: int) -> Step:
            problems = await bulk.take(db, rows, self._mode, job.by, now, dry=self._dry, taken=taken) if rows else []
            rejected = [Rejected(row.number, row.id, wrong) for row, wrong in zip(rows, problems, strict=True) if wrong]
            applied = len(rows) - len(rejected)
            return Step(position, len(rows), applied, rejected, total, ended=len(rows) < self._at_once)

        return do

    def _counted(self) -> int:
        total = self._file.count()
        if total > MOST_ROWS:
            raise BadFileError(f"the file has {total} rows, and at most {MOST_ROWS} are taken")
        return total

    def _read(self, job: Job) -> tuple[list[Row], dict[str, Any]]:
        rows: list[Row] = []
        offset = job.position.get("offset", self._file.begin)
        for row, end in self._file.rows(offset, job.done + 1):
            rows.append(row)
            offset = end
            if len(rows) == self._at_once:
                break
        return rows, {"offset": offset}

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class DeviceExport:
    """Writes devices into the job's result, by id: each as it is at the moment of its step."""

    def __init__(self, job: Job, _: Path, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._format = TextFormat(job.params["format"])
        text = job.params["filter"]
        self._chosen = Chosen(None if text is None else parse(text))

    async def ahead(self, job: Job) -> Doing:
        """Do nothing: what is read and what is written are one transaction."""

        async def do(db: AsyncConnection, _: int) -> Step:
            view = job.by.view
            after = Position(job.position["after"], job.position["after"]) if job.position else None
            output, total = b"", job.total
            if after is None:
                output = begin(self._format)
                where = listing.where(self._chosen, view, db.dialect.name)
                total = await db.scalar(select(func.count()).select_from(device).where(where))
            page = await listing.whole_page(db, view, self._chosen, Order(), after, self._at_once)
            output += await asyncio.to_thread(lines, self._format, page.devices)
            position = job.position if page.end is None else {"after": page.end.id}
            count = len(page.devices)
            return Step(position, count, count, (), total, output, ended=page.end is None)

        return do

    def close(self) -> None:
        """Do nothing: nothing is held."""
