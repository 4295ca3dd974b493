"""Exports: points of many series, in the long form, as a stream of bytes of one format."""

import asyncio
import contextlib
import importlib
import zlib
from collections.abc import AsyncGenerator, Callable
from enum import StrEnum
from typing import NamedTuple, Protocol

from contracts.readings import Value

CHUNK = 64 << 10
"""Bytes that are gathered before they are handed on."""


class Format(StrEnum):
    """How points are written."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    ARROW = "arrow"
    """The stream format of Arrow IPC."""


MEDIA_TYPES = {
    Format.CSV: "text/csv; charset=utf-8; header=present",
    Format.JSONL: "application/jsonl",
    Format.PARQUET: "application/vnd.apache.parquet",
    Format.ARROW: "application/vnd.apache.arrow.stream",
}
TEXTS = (Format.CSV, Format.JSONL)


class Page(NamedTuple):
    """Points of one series, in order of ts."""

    device: str
    metric: str
    points: list[tuple[int, Value]]


class Encoder(Protocol):
    """Writes pages, one after the other. It holds a bounded number of points."""

    def begin(self) -> bytes:
        """Give what comes before the points."""

    def take(self, page: Page) -> bytes:
        """Take in points; give what can be handed on."""

    def end(self) -> bytes:
        """Give the rest."""


class _Gzip:
    """An encoder's bytes, compressed."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder, self._deflate = encoder, zlib.compressobj(level=1, wbits=31)

    def begin(self) -> bytes:
        return self._deflate.compress(self._encoder.begin())

    def take(self, page: Page) -> bytes:
        return self._deflate.compress(self._encoder.take(page))

    def end(self) -> bytes:
        return self._deflate.compress(self._encoder.end()) + self._deflate.flush()


def _encoder(format_: Format) -> Encoder:
    """Build the encoder of a format. pyarrow takes a third of a second to import, and comes with what needs it."""
    module = importlib.import_module(
        "devices_api.telemetry.exports_text" if format_ in TEXTS else "devices_api.telemetry.exports_arrow"
    )
    build: dict[Format, Callable[[], Encoder]] = module.ENCODERS
    return build[format_]()


async def encoded(
    format_: Format, pages: AsyncGenerator[Page, None], *, gzip: bool = False
) -> AsyncGenerator[bytes, None]:
    """Write `pages`, in chunks of CHUNK bytes or more.

    The next page is asked for when what came before has been taken. The work is done in a thread. `pages` is closed.
    """
    encoder = await asyncio.to_thread(_encoder, format_)
    if gzip:
        encoder = _Gzip(encoder)
    chunk = bytearray(encoder.begin())
    async with contextlib.aclosing(pages):
        async for page in pages:
            chunk += await asyncio.to_thread(encoder.take, page)
            if len(chunk) >= CHUNK:
                yield bytes(chunk)
                chunk.clear()
    chunk += await asyncio.to_thread(encoder.end)
    yield bytes(chunk)
