"""Stands between a client and a server on loopback, and does what networks and servers do in trouble."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from enum import Enum, auto


class Fault(Enum):
    """What happens to a request."""

    NONE = auto()
    SLOW = auto()
    """It is done, and answered late."""
    REFUSED = auto()
    """It does not come to the server; connections end at once."""
    LOST = auto()
    """It is done, and never answered."""


_LATE_S = 0.15


class FaultyProxy:
    """Passes on bytes in both ways, except as `fault` says. `seen` tells whether it has done so since it was set."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._fault, self.seen = Fault.NONE, asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    @property
    def fault(self) -> Fault:
        """What happens to requests now."""
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        self._fault = fault
        self.seen.clear()
        if fault is Fault.REFUSED:
            for writer in self._writers:
                writer.close()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["FaultyProxy"]:
        """Listen for as long as the context is open."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in self._writers:
                writer.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._fault is Fault.REFUSED:
            self.seen.set()
            writer.close()
            return
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers |= {writer, to_server}
        try:
            await asyncio.gather(self._pass(reader, to_server), self._answer(from_server, writer))
        finally:
            self._writers -= {writer, to_server}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if self._fault is not Fault.NONE:
                    self.seen.set()
                if self._fault is Fault.SLOW:
                    await asyncio.sleep(_LATE_S)
                if self._fault is not Fault.LOST:
                    writer.write(data)
                    await writer.drain()
        writer.close()
