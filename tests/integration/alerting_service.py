"""alerting in this process against a real stream server, with a receiver, and what tests do with it."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from alerting.app import App
from alerting.settings import Settings
from contracts import logs, streams
from contracts.jetstream import Link, Publisher, ensure_bucket, ensure_stream
from contracts.readings import READING_BATCH, Reading, ReadingBatch, Value
from contracts.service import listen, running
from tests.conftest import TOKEN, Server, free_port

KEY = "a-key-that-only-this-test-has"
RULE: dict[str, Any] = {"name": "too hot", "metric": "temperature", "operator": "gt", "value": 30, "clear": 25}


class Handler(BaseHTTPRequestHandler):
    """Takes notifications, after as many refusals as the receiver was told to make."""

    def do_POST(self) -> None:
        receiver = self.server
        assert isinstance(receiver, Receiver)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/hang":
            receiver.released.wait(20)
        receiver.refusals -= 1
        refused = receiver.refusals >= 0
        (receiver.refused if refused else receiver.taken).append(body)
        self.send_response(503 if refused else 204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Receiver(ThreadingHTTPServer):
    """Keeps the notifications it took, and those it refused."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.taken: list[dict[str, Any]] = []
        self.refused: list[dict[str, Any]] = []
        self.refusals = 0
        self.released = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    @property
    def told(self) -> list[dict[str, Any]]:
        """What it was told of alerts, in order; what came again is there once."""
        bodies = {body["id"]: body for body in self.taken}
        return [alert for body in bodies.values() for alert in body["alerts"]]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver."""
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield receiver
        finally:
            receiver.released.set()
            receiver.shutdown()
            thread.join()


class Bench:
    """The stream server with a publisher, and what alerting is told by its environment."""

    def __init__(self, server: Server, directory: Path, receiver: Receiver) -> None:
        self.server, self.receiver = server, receiver
        self.environment = {
            "ALERTING_PORT": str(free_port()),
            "ALERTING_KEY": KEY,
            "ALERTING_NATS_URL": server.nats_url,
            "ALERTING_NATS_TOKEN": TOKEN,
            "ALERTING_DATABASE_URL": f"sqlite+aiosqlite:///{directory}/alerting.sqlite3",
            "ALERTING_WEBHOOK_URL": f"{receiver.url}/",
            "ALERTING_ALLOW_PRIVATE_WEBHOOKS": "true",
            "ALERTING_DRAIN_SECONDS": "4",
            "ALERTING_LEASE_SECONDS": "1",
            "ALERTING_CHECKPOINT_SECONDS": "0.5",
        }
        self.client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.environment['ALERTING_PORT']}",
            headers={"Authorization": f"Bearer {KEY}"},
        )
        self.link = Link(server.nats_url, TOKEN, "bench", logs.quiet())
        self.rules = 0
        self.clock = time.time_ns()  # noqa: TID251 - a test plays the devices, which have clocks

    async def connect(self) -> None:
        await self.link.connect()
        await ensure_stream(self.link.js, streams.TELEMETRY)
        self.publisher = Publisher(self.link)
        await self.publisher.start()
        self.devices = await ensure_bucket(self.link.js, streams.DEVICES_BUCKET)

    def settings(self) -> Settings:
        values = {name.removeprefix("ALERTING_").lower(): value for name, value in self.environment.items()}
        return Settings(**values)  # type: ignore[arg-type]  # texts, as in an environment

    @asynccontextmanager
    async def service(self) -> AsyncIterator[App]:
        """Run alerting in this process, and wait until it is ready."""
        settings = self.settings()
        app = App(settings, logs.quiet())
        with listen(settings.host, settings.port) as listener:
            async with running(app, listener, settings.drain_seconds, logs.quiet()):
                await until(lambda: not app.waiting_for())
                yield app

    async def publish(self, *values: Value, device: str = "pump", metric: str = "temperature") -> None:
        """Publish each value as a batch of its own, where ingest would; times grow by a ms."""
        partition = streams.partition_of(device, streams.DEFAULT_PARTITIONS)
        for value in values:
            self.clock += 1_000_000
            reading = Reading(device, self.clock, self.clock, {metric: value})
            batch = READING_BATCH.encode(ReadingBatch(1, partition, [reading]))
            await self.publisher.publish(streams.telemetry_subject(partition), batch)

    async def add_rule(self, **changes: Any) -> str:  # noqa: ANN401 - JSON
        answer = await self.client.post("/api/v1/rules", json=RULE | changes)
        assert answer.status_code == 201, answer.text
        self.rules += 1
        await until(self._knows_rules)
        return str(answer.json()["id"])

    async def _knows_rules(self) -> bool:
        return await self.metric("rules") == self.rules

    async def metric(self, name: str, **labels: str) -> float:
        """Read one of the service's metrics."""
        text = (await self.client.get("/metrics")).text
        inner = ",".join(f'{label}="{value}"' for label, value in labels.items())
        line = f"alerting_{name}{{{inner}}} " if labels else f"alerting_{name} "
        return next((float(found.removeprefix(line)) for found in text.splitlines() if found.startswith(line)), 0.0)

    async def alerts(self, **query: str) -> list[dict[str, Any]]:
        answer = await self.client.get("/api/v1/alerts", params={"limit": "1000"} | query)
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    async def has(self, state: str, count: int) -> bool:
        return len(await self.alerts(state=state)) == count


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while True:
            met = condition()
            if met if isinstance(met, bool) else await met:
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def benching(server: Server, directory: Path, receiver: Receiver) -> AsyncIterator[Bench]:
    """Make a Bench that is not connected yet, and close it."""
    bench = Bench(server, directory, receiver)
    yield bench
    await bench.client.aclose()
    await bench.link.close()
