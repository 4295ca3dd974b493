"""The query API: points as exports in columns, and dead letters."""

import base64
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import TypeVar
from zlib import crc32

import httpx
import msgspec
import numpy as np
import pyarrow as pa

from contracts.times import LATEST
from simulators.truth.letters import Letter
from simulators.truth.stores.asking import PATIENCE_S, Query, Server
from simulators.truth.stores.store import Found, StoreError

_LETTERS = 1000
_DEVICES = 1000


class _Letter(msgspec.Struct):
    id: int
    reason: str
    payload_base64: str


class _Letters(msgspec.Struct):
    items: list[_Letter]
    next: str | None = None


class _Device(msgspec.Struct):
    id: str


class _Devices(msgspec.Struct):
    items: list[_Device]
    next: str | None = None


Page = TypeVar("Page", _Letters, _Devices)


class Api:
    """devices_api at `url`, asked with `key`: a Store, and Letters."""

    resolution, digits = 1, 17

    def __init__(
        self,
        url: str,
        key: str,
        *,
        patience: float = PATIENCE_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.name = f"the query API at {url}"
        headers = {"Authorization": f"Bearer {key}"}
        base = f"{url.rstrip('/')}/api/v1"
        self._server = Server(base, headers, absent="unknown-device", patience=patience, transport=transport)
        self._newest = 0

    async def points(self, device: str, start: int, end: int) -> AsyncIterator[Found]:
        """Give every point of `device` with `start` <= ts < `end` (ns)."""
        query: Query = [
            ("device", device),
            ("start", max(0, start)),
            ("end", min(end, LATEST)),
            ("format", "arrow"),
        ]
        answer = await self._server.get("/telemetry/export", query)
        if answer is None:
            return
        try:
            with pa.ipc.open_stream(answer) as stream:
                for batch in stream:
                    for found in _found(batch):
                        yield found
        except (pa.ArrowInvalid, KeyError) as error:
            raise StoreError(f"{self.name} answers something else than was agreed: {error}") from error

    async def devices(self) -> set[str]:
        """Name the registered devices."""
        found: set[str] = set()
        query: list[tuple[str, str | int]] = [("limit", _DEVICES)]
        while (page := self._read(_Devices, await self._server.get("/devices", query))) is not None:
            found.update(device.id for device in page.items)
            if page.next is None:
                break
            query = [("limit", _DEVICES), ("cursor", page.next)]
        return found

    async def fresh(self, start: int) -> list[Letter]:
        """Give dead letters received at `start` (ns) or later that were not given before; they come newest first."""
        found: list[Letter] = []
        newest, first = self._newest, self._newest
        query: list[tuple[str, str | int]] = [("start", max(0, start)), ("limit", _LETTERS)]
        following = query
        while (page := self._read(_Letters, await self._server.get("/dead-letters", following))) is not None:
            fresh = [letter for letter in page.items if letter.id > first]
            newest = max([newest, *(letter.id for letter in fresh)])
            found += [_letter(letter) for letter in fresh]
            if page.next is None or len(fresh) < len(page.items):
                break
            following = [*query, ("cursor", page.next)]
        self._newest = newest
        return found

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()

    def _read(self, form: type[Page], answer: bytes | None) -> Page | None:
        if answer is None:
            return None
        try:
            return msgspec.json.decode(answer, type=form)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StoreError(f"{self.name} answers something else than was agreed: {error}") from error


def _letter(letter: _Letter) -> Letter:
    payload = base64.b64decode(letter.payload_base64)
    return Letter(crc32(payload) << 32 | len(payload), letter.reason)


def _found(batch: pa.RecordBatch) -> list[Found]:
    """Take a batch apart: it is in order of device, metric and time."""
    metrics = batch.column("metric").to_pylist()
    times = batch.column("ts").cast(pa.int64()).to_numpy(zero_copy_only=False)
    edges = [0, *(at for at in range(1, len(metrics)) if metrics[at] != metrics[at - 1]), len(metrics)]
    found = []
    for start, end in pairwise(edges):
        for name in ("number", "boolean", "text"):
            column = batch.column(name).slice(start, end - start)
            if column.null_count == len(column):
                continue
            there = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
            some = column.drop_null()
            values = some.to_numpy(zero_copy_only=False) if name == "number" else some.to_pylist()
            found.append(Found(metrics[start], times[start:end][there], values))
    return found
