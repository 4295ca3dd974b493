"""A real InfluxDB engine: Debian's, which speaks an older HTTP API, behind a layer that speaks the one of 2.x.

The layer also does what servers do in trouble, as tests tell it.
"""

import contextlib
import gzip
import ssl
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import uvicorn

from tests.conftest import Server, accepts, free_port, need, wait_until

TOKEN = "a-token-for-influxdb"
BUCKET = "telemetry"

_TLS = ssl.create_default_context()  # which each client would otherwise make anew, slowly

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


@dataclass
class Trouble:
    """What the server does with a write: answers `status`, or nothing at all if that is 0.

    `written`: it does what was asked even so. `later`: it does so when the test says.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    written: bool = False
    later: bool = False


class InfluxServer:
    """The layer. `troubles` come one after the other, one a write, after `spared` writes."""

    def __init__(self, engine: str, port: int) -> None:
        self._engine, self.url = engine, f"http://127.0.0.1:{port}"
        self.troubles: list[Trouble] = []
        self.spared = 0
        self.most_bytes = 25_000_000
        self.late: list[tuple[str, bytes]] = []
        self.writes = 0
        self.queries = 0

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        assert TOKEN not in scope["query_string"].decode()
        if headers.get("authorization") != f"Token {TOKEN}":
            await _answer(send, 401, b'{"code":"unauthorized","message":"unauthorized access"}')
        elif scope["path"] == "/query":
            self.queries += 1
            async with httpx.AsyncClient(verify=_TLS) as client:
                answer = await client.post(
                    f"{self._engine}/query", content=body, headers={"Content-Type": headers["content-type"]}, timeout=60
                )
            await _answer(send, answer.status_code, answer.content)
        elif scope["path"] == "/api/v2/write":
            await self._write(parse_qs(scope["query_string"].decode()), headers, body, receive, send)
        else:
            await _answer(send, 404, b"")

    def deliver(self) -> None:
        """Do what was to be done later."""
        late, self.late = self.late, []
        for bucket, lines in late:
            httpx.post(f"{self._engine}/write", params={"db": bucket, "precision": "ns"}, content=lines)

    async def _write(
        self, query: dict[str, list[str]], headers: dict[str, str], body: bytes, receive: Receive, send: Send
    ) -> None:
        assert query["precision"] == ["ns"]
        assert query["org"]
        assert headers["content-encoding"] == "gzip"
        self.writes += 1
        lines = gzip.decompress(body)
        (bucket,) = query["bucket"]
        trouble = None
        if self.spared:
            self.spared -= 1
        elif self.troubles:
            trouble = self.troubles.pop(0)
        if len(lines) > self.most_bytes:
            trouble = Trouble(413)
        if trouble is not None and trouble.later:
            self.late.append((bucket, lines))
        answer = None
        if trouble is None or trouble.written:
            async with httpx.AsyncClient(verify=_TLS) as client:
                answer = await client.post(
                    f"{self._engine}/write", params={"db": bucket, "precision": "ns"}, content=lines, timeout=60
                )
        if trouble is not None and not trouble.status:
            while (await receive())["type"] != "http.disconnect":
                pass
        elif trouble is not None:
            message = b'{"code":"trouble","message":"as the test has it"}'
            await _answer(send, trouble.status, message, trouble.headers)
        elif answer is not None:
            await _answer(send, answer.status_code, answer.content)


async def _answer(send: Send, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
    all_headers = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    raw = [(name.lower().encode(), value.encode()) for name, value in all_headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


_CONFIGURATION = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
dir = "{directory}/meta"
[data]
dir = "{directory}/data"
wal-dir = "{directory}/wal"
cache-snapshot-write-cold-duration = "{cold}"
query-log-enabled = false
[monitor]
store-enabled = false
[continuous_queries]
enabled = false
[http]
bind-address = "127.0.0.1:{port}"
log-enabled = false
"""


@contextlib.contextmanager
def influxdb_engine(directory: Path, cold: str = "10m") -> Iterator[str]:
    """Run Debian's influxd; gives its URL. It has a database BUCKET.

    It packs what it has been sent when nothing has come for as long as `cold`.
    """
    program = need("influxd", "influxdb")
    port, rpc = free_port(), free_port()
    configuration = directory / "influxdb.conf"
    configuration.write_text(_CONFIGURATION.format(directory=directory, port=port, rpc=rpc, cold=cold))
    server = Server([program, "-config", str(configuration)], port)
    server.start()
    url = f"http://127.0.0.1:{port}"
    try:
        httpx.post(f"{url}/query", data={"q": f'CREATE DATABASE "{BUCKET}"'}).raise_for_status()
        yield url
    finally:
        server.kill()


@contextlib.contextmanager
def influxdb_server(engine: str) -> Iterator[InfluxServer]:
    """Run the layer before an engine."""
    port = free_port()
    layer = InfluxServer(engine, port)
    server = _serving(layer, port)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: accepts(port), "the layer to listen")
        yield layer
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)


@contextlib.contextmanager
def influxdb_process(engine: str) -> Iterator[str]:
    """Run the layer in a process of its own, whose CPU is not this one's; gives its URL."""
    port = free_port()
    server = Server([sys.executable, "-m", __name__, engine, str(port)], port)
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()


def _serving(layer: InfluxServer, port: int) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(layer, "127.0.0.1", port, log_level="critical", lifespan="off", ws="none", http="h11")
    )


if __name__ == "__main__":
    _serving(InfluxServer(sys.argv[1], int(sys.argv[2])), int(sys.argv[2])).run()
