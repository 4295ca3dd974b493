"""Sensorium as it is loaded: its processes, its processor's count of points, and its store."""

import asyncio
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import httpx
import msgspec

from contracts.timeseries import MINUTE
from simulators.capacity.subject import SubjectError

_WRITTEN = re.compile(r"^processor_points_written_total (\S+)$", re.MULTILINE)
_COUNT = """
SELECT count(*) FROM point
WHERE minute >= ? AND minute <= ? AND ts >= ? AND ts < ? AND device IN (SELECT value FROM json_each(?))
"""


class Pipeline:
    """A stack whose broker is `at` a host and port; `processor` is the base URL of its processor.

    `store` is the embedded store's file; None: another one, of which only processor's count is known.
    """

    name = "Sensorium"

    def __init__(
        self,
        at: tuple[str, int],
        pids: Callable[[], Mapping[str, int]],
        processor: str,
        store: Path | None,
        client: httpx.AsyncClient,
    ) -> None:
        self.mqtt_host, self.mqtt_port = at
        self._pids, self._processor, self._store, self._client = pids, processor, store, client

    def pids(self) -> Mapping[str, int]:
        """Ask who started it."""
        return self._pids()

    async def written(self) -> int:
        """Ask processor."""
        try:
            answer = await self._client.get(f"{self._processor}/metrics")
        except httpx.HTTPError as error:
            raise SubjectError(f"processor does not say how far it is: {error!r}") from None
        found = _WRITTEN.search(answer.text)
        return int(float(found[1])) if found else 0

    async def stored(self, devices: Sequence[str], start: int, end: int) -> int | None:
        """Count in the file."""
        if self._store is None:
            return None
        return await asyncio.to_thread(_count, self._store, devices, start, end)

    def store_bytes(self) -> int | None:
        """Add up the file and its log."""
        if self._store is None:
            return None
        return sum(file.stat().st_size for file in self._store.parent.glob(f"{self._store.name}*"))


def _count(store: Path, devices: Sequence[str], start: int, end: int) -> int:
    named = msgspec.json.encode(list(devices)).decode()
    try:
        with closing(sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro", uri=True)) as db:
            (count,) = db.execute(_COUNT, (start // MINUTE, end // MINUTE, start, end, named)).fetchone()
    except sqlite3.Error as error:
        raise SubjectError(f"{store} cannot be read: {error}") from None
    return int(count)
