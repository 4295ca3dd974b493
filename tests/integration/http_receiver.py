"""An HTTP receiver that fails, hangs and lies, as the path of a request says; all that it was sent is kept."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Request:
    """What was sent."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class HttpReceiver:
    """`/200` and other numbers answer that status; the other paths are below."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._serve(reader, writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:]) if name}
        path = head[0].split()[1]
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.append(Request(path, headers, body))
        match path.split("?")[0]:
            case "/hang":
                await reader.read()
            case "/close":
                pass
            case "/garbage":
                writer.write(b"I am no server\r\n\r\n")
            case "/cut":  # says 200 and hangs up before it has said what it announced
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nok")
            case "/endless":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
                while not reader.at_eof() and not writer.is_closing():
                    writer.write(b"x" * 65_536)
                    await writer.drain()
            case "/slow-head":
                writer.write(b"HTTP/1.1 200 OK\r\nX-More: ")
                while not reader.at_eof():
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.wait([asyncio.ensure_future(reader.read(1))], timeout=0.05)
            case status:
                said = [f"HTTP/1.1 {status.strip('/')} Said", "Location: /200", "Retry-After: 7", "Content-Length: 0"]
                writer.write("\r\n".join([*said, "", ""]).encode())
        await writer.drain()


@contextlib.asynccontextmanager
async def http_receiver(tls: ssl.SSLContext | None = None) -> AsyncIterator[HttpReceiver]:
    """Serve on a free port of 127.0.0.1."""
    receiver = HttpReceiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in receiver.tasks:
            task.cancel()
        await asyncio.gather(*receiver.tasks, return_exceptions=True)
