"""alerting in a process of its own, which tests kill, with a stream server and an ear for what it tells."""

import asyncio
import contextlib
import itertools
import json
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from contracts import logs, streams
from contracts.devices import DeviceRecord, ProfileRecord, encode_record, kv_key, profile_key
from contracts.heard import Heard, Telling
from contracts.jetstream import Link, Publisher, ensure_bucket, ensure_stream
from contracts.readings import READING_BATCH, Reading, ReadingBatch, Value
from contracts.streams import partition_of
from tests.conftest import TOKEN, Server, free_port, wait_until
from tests.integration.alerting_service import until

KEY = "a-key-that-only-this-test-has"
PARTITIONS = 4
SECOND = 1_000_000_000


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        ear = self.server
        assert isinstance(ear, Ear)
        data = self.rfile.read(length := int(self.headers["Content-Length"]))
        if len(data) < length:
            return  # whoever called was killed
        body = json.loads(data)
        held = ear.holding & {alert["device"] for alert in body["alerts"]}
        refused = bool(held) or ear.rng.random() < ear.refuses
        if held:
            ear.held.append(body)
            ear.released.wait(20)
        elif not refused:
            ear.heard.append((self.path, body))
        with contextlib.suppress(OSError):  # whoever called may be dead
            self.send_response(503 if refused else 204)
            self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Ear(ThreadingHTTPServer):
    """A receiver that keeps what it was told, by path.

    It hangs where it is told of devices in `holding`, and refuses a share of the rest, `refuses`.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.held: list[dict[str, Any]] = []
        self.holding: set[str] = set()
        self.refuses, self.rng = 0.0, random.Random(0)
        self.released = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def told(self, device: str, path: str = "") -> list[tuple[str, str, str]]:
        """Give what was told of a device: the notification's id, the alert's, and the state, in order."""
        return [
            (body["id"], alert["alert_id"], alert["state"])
            for where, body in list(self.heard)
            for alert in body["alerts"]
            if alert["device"] == device and where.startswith(path)
        ]


@contextlib.contextmanager
def listening() -> Iterator[Ear]:
    """Run an ear."""
    with Ear() as ear:
        thread = threading.Thread(target=ear.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield ear
        ear.released.set()
        ear.shutdown()
        thread.join()


class Place:
    """What stays while alerting, one process of it or several, comes and goes."""

    def __init__(self, server: Server, ear: Ear, database_url: str, replicas: int = 1) -> None:
        self.server, self.ear = server, ear
        self._ports = [free_port() for _ in range(replicas)]
        self._environment = {
            "ALERTING_KEY": KEY,
            "ALERTING_NATS_URL": server.nats_url,
            "ALERTING_NATS_TOKEN": TOKEN,
            "ALERTING_DATABASE_URL": database_url,
            "ALERTING_WEBHOOK_URL": f"{ear.url}/",
            "ALERTING_ALLOW_PRIVATE_WEBHOOKS": "true",
            "ALERTING_LEASE_SECONDS": "1",
        }
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def url(self, which: int = 0) -> str:
        """Give where a replica's API is."""
        return f"http://127.0.0.1:{self._ports[which]}"

    @property
    def urls(self) -> list[str]:
        """Give where the replicas that run are."""
        return [self.url(which) for which in self._processes]

    def start(self, which: int = 0) -> None:
        """Start a replica, and wait until it is ready."""
        environment = os.environ | self._environment | {"ALERTING_PORT": str(self._ports[which])}
        command = [sys.executable, "-m", "alerting"]
        self._processes[which] = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        wait_until(lambda: self._ready(which), "alerting is ready")

    def kill(self, which: int = 0) -> None:
        """End a replica with SIGKILL."""
        process = self._processes.pop(which)
        process.kill()
        process.wait()

    def end(self) -> None:
        """Kill what runs."""
        for which in list(self._processes):
            self.kill(which)

    def _ready(self, which: int) -> bool:
        assert self._processes[which].poll() is None, "alerting has ended"
        try:
            return httpx.get(f"{self.url(which)}/readyz").is_success
        except httpx.HTTPError:
            return False


@contextlib.contextmanager
def placed(server: Server, database_url: str, replicas: int = 1) -> Iterator[Place]:
    """Run alerting until the end of the block, where no event loop runs."""
    asyncio.run(_prepare(server))
    with listening() as ear:
        place = Place(server, ear, database_url, replicas)
        try:
            for which in range(replicas):
                place.start(which)
            yield place
        finally:
            place.end()


async def _prepare(server: Server) -> None:
    link = await _connected(server)
    await ensure_stream(link.js, streams.TELEMETRY, PARTITIONS)
    await ensure_bucket(link.js, streams.DEVICES_BUCKET)
    await link.close()


async def _connected(server: Server) -> Link:
    return await Link(server.nats_url, TOKEN, "ingest", logs.quiet()).connect()


class Site:
    """A connection of ingest's and a client of the API, for one test; devices speak at `now`."""

    def __init__(self, place: Place, link: Link, client: httpx.AsyncClient) -> None:
        self.place, self.ear, self.client = place, place.ear, client
        self._link, self._publisher, self._telling = link, Publisher(link), Telling(link, "ingest")
        self._last = 0

    @property
    def now(self) -> int:
        """A time that is later than the one before."""
        self._last = max(time.time_ns(), self._last + 1)  # noqa: TID251 - a test plays the devices, which have clocks
        return self._last

    async def register(self, device: str, profile: str = "default", interval: float = 0.0) -> None:
        """Put a device and its profile into the registry."""
        bucket = await ensure_bucket(self._link.js, streams.DEVICES_BUCKET)
        if interval:
            await bucket.put(profile_key(profile), encode_record(ProfileRecord(1, profile, interval=interval)))
        await bucket.put(kv_key(device), encode_record(DeviceRecord(1, device, enabled=True, profile=profile)))

    async def say(self, device: str, *values: Value, at: int = 0, metric: str = "temperature") -> None:
        """Let a device say something, now, or what it measured at another time; times of values grow by a ms."""
        now = self.now
        partition = partition_of(device, PARTITIONS)
        times = itertools.count(at or now, SECOND // 1000)
        readings = [Reading(device, ts, now, {metric: value}) for ts, value in zip(times, values, strict=False)]
        batch = ReadingBatch(1, partition, readings)
        await self._publisher.publish(f"telemetry.{partition}", READING_BATCH.encode(batch))

    async def heard(self, upto: int) -> None:
        """Tell, as ingest does, that all that was received before `upto` is on the stream."""
        await self._telling.tell(Heard(upto))

    async def rule(self, *devices: str, **more: Any) -> str:  # noqa: ANN401 - JSON
        """Make a rule that looks at these devices, and wait until it does: values above 30 are bad."""
        rule = {"name": f"rule of {devices[0]}", "selector": {"devices": devices}} | more
        if rule.get("kind", "threshold") == "threshold":
            rule = {"metric": "temperature", "value": 30} | rule
        before = await self._rules_loaded()
        answer = await self.client.post("/api/v1/rules", json=rule)
        assert answer.status_code == 201, answer.text

        async def loaded() -> bool:
            return all(now > old for now, old in zip(await self._rules_loaded(), before, strict=True))

        await until(loaded)
        return str(answer.json()["id"])

    async def _rules_loaded(self) -> list[float]:
        """Ask each replica how many rules it has."""
        texts = [(await self.client.get(f"{url}/metrics")).text for url in self.place.urls]
        return [float(re.findall(r"^alerting_rules (\S+)$", text, re.MULTILINE)[0]) for text in texts]

    async def put(self, path: str, body: dict[str, Any]) -> None:
        answer = await self.client.put(f"/api/v1/{path}", json=body)
        assert answer.is_success, answer.text

    async def do(self, alert: str, what: str, **body: Any) -> None:  # noqa: ANN401 - JSON
        """Do something to an alert as an operator."""
        answer = await self.client.post(f"/api/v1/alerts/{alert}/{what}", json={"by": "ada"} | body)
        assert answer.is_success, answer.text

    async def alerts(self, device: str, *states: str) -> list[dict[str, Any]]:
        """Give the alerts of a device, the oldest first."""
        params: dict[str, str | int | list[str]] = {"device": device, "limit": 1000, "state": list(states)}
        answer = await self.client.get("/api/v1/alerts", params=params)
        assert answer.is_success, answer.text
        return list(reversed(answer.json()["items"]))

    async def until_state(self, device: str, *states: str) -> list[dict[str, Any]]:
        """Wait until the alerts of a device, the oldest first, are in these states, and give them."""

        async def reached() -> bool:
            return [alert["state"] for alert in await self.alerts(device)] == list(states)

        await until(reached)
        return await self.alerts(device)

    async def until_told(self, device: str, times: int = 1, path: str = "") -> list[tuple[str, str, str]]:
        """Wait until a device was told of so often, and give it."""
        await until(lambda: len(self.ear.told(device, path)) >= times)
        return self.ear.told(device, path)


@contextlib.asynccontextmanager
async def at(place: Place) -> AsyncIterator[Site]:
    """Connect to a place."""
    link = await _connected(place.server)
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=place.url(), headers=headers) as client:
        yield Site(place, link, client)
    await link.close()
