"""How long it takes from just before a bad value is published until a webhook has been told, under load.

The stack is the one that `sensorium up` starts, with one rule that applies to every device. Publishers keep up a rate
of messages of three metrics; beside them some devices send, one after the other, a value that is bad and later one that
is good. An own receiver takes the notifications; it and everything else runs on this machine.
"""

import asyncio
import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import httpx
import psutil

from contracts import logs, topics
from deploy.local import ports
from deploy.local.stack import HOST, Options, Stack
from deploy.local.up import ready, running
from deploy.local.view import percentile
from simulators.connections import native
from simulators.connections.outlet import Line, Outlet
from simulators.connections.parties import Broker
from simulators.plan.devices import Device
from tests.bench.processor import cpu_s

METRICS = 3
DEVICES = 50
ANSWERS_S = 30.0
BAD, GOOD = 60.0, 20.0  # the load's temperatures end at 39
RULE: dict[str, Any] = {
    "name": "hot",
    "metric": "temperature",
    "value": 50,
    "flapping": {"changes": 0},  # these devices change for ever, and are to be told each time
}


def cpu_seconds(pids: dict[str, int]) -> dict[str, float]:
    """User and system time of each process so far."""
    return {name: cpu_s(psutil.Process(pid)) for name, pid in pids.items()}


def in_ms(seconds: float | None) -> float | None:
    """Round for reading."""
    return None if seconds is None else round(seconds * 1000, 1)


@dataclass(frozen=True)
class Load:
    """`rate` messages/s for `warm_up` and then `seconds`, in which there are `alerts` values a second to be told of.

    While it warms up, its devices are registered.
    """

    warm_up: float
    seconds: float
    rate: float
    alerts: float


class Receiver:
    """A webhook, and when it was told that a device fires, or no longer does."""

    def __init__(self) -> None:
        self.url = ""
        self.notifications = 0
        self._awaited: dict[tuple[str, str], asyncio.Future[float]] = {}

    def told(self, device: str, state: str) -> asyncio.Future[float]:
        """Give what will have the time, by the loop's clock, at which `device` is next told to be in `state`."""
        return self._awaited.setdefault((device, state), asyncio.get_running_loop().create_future())

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take notifications until the end of the block."""
        server = await asyncio.start_server(self._take, HOST, 0)
        self.url = f"http://{HOST}:{server.sockets[0].getsockname()[1]}/"
        async with server:
            yield

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
                body = json.loads(await reader.readexactly(length))
                now = asyncio.get_running_loop().time()
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                await writer.drain()
                self.notifications += 1
                for alert in body["alerts"]:
                    awaited = self._awaited.pop((alert["device"], alert["state"]), None)
                    if awaited is not None and not awaited.done():
                        awaited.set_result(now)
        writer.close()


class Crossings:
    """Devices whose values cross the threshold, in turn; `found` has seconds by the state that the receiver was told.

    `missing` counts what it was not told within ANSWERS_S.
    """

    def __init__(self, stack: Stack, receiver: Receiver) -> None:
        self._receiver = receiver
        self._devices = [f"crossing-{number:02}" for number in range(DEVICES)]
        self._numbers = itertools.count()
        self._connected = asyncio.Event()
        connect = native.connecting(
            Broker(stack.mqtt_host, stack.mqtt_port),
            login=lambda _: None,
            now=time.time_ns,  # noqa: TID251 - nobody looks at it
            rng=Random(0),
            log=logs.quiet(),
        )
        self._outlet = connect(Line("crossing", [Device(0, "crossing", 0, 0)]), self)
        self.found: dict[str, list[float]] = {"firing": [], "resolved": []}
        self.missing = 0

    async def run(self, load: Load) -> None:
        """Publish the values that are to be told of, and wait until they are."""
        self._outlet.start()
        try:
            await self._connected.wait()
            for known in self._devices:  # they are registered and known before they are measured
                self._publish(known, GOOD)
            await asyncio.sleep(load.warm_up)
            loop = asyncio.get_running_loop()
            began = loop.time()
            async with asyncio.TaskGroup() as group:
                for number in range(round(load.seconds * load.alerts)):
                    await asyncio.sleep(began + number / load.alerts - loop.time())
                    turn, place = divmod(number, DEVICES)
                    group.create_task(self._measure(self._devices[place], "resolved" if turn % 2 else "firing"))
        finally:
            await self._outlet.stop(1.0)

    async def _measure(self, device: str, state: str) -> None:
        answer, began = self._receiver.told(device, state), asyncio.get_running_loop().time()
        self._publish(device, BAD if state == "firing" else GOOD)
        try:
            self.found[state].append(await asyncio.wait_for(answer, ANSWERS_S) - began)
        except TimeoutError:
            self.missing += 1

    def _publish(self, device: str, value: float) -> None:
        self._outlet.send(
            [(next(self._numbers), topics.telemetry(device).encode(), b'{"temperature":%.1f}' % value, 0)]
        )

    # What the outlet tells.

    def connected(self, outlet: Outlet) -> None:
        """Begin."""
        del outlet
        self._connected.set()

    def lost(self, outlet: Outlet, reason: str) -> None:
        """Go on: it comes back by itself."""

    def sent(self, numbers: Sequence[int], at: int) -> None:
        """Wait for what the receiver is told instead."""

    acked = sent

    def received(self, outlet: Outlet, topic: str, payload: bytes) -> None:
        """Listen to nothing."""


async def measured(stack: Stack, receiver: Receiver, wanted: Load) -> dict[str, Any]:
    """Load the stack and take its measure."""
    async with running(stack, SystemRandom()) as supervisor:
        await ready(stack, supervisor)
        headers = {"Authorization": f"Bearer {stack.key}"}
        async with httpx.AsyncClient(base_url=stack.urls["alerting"], headers=headers, timeout=30) as client:
            (await client.post("/api/v1/rules", json=RULE)).raise_for_status()
        pids = json.loads((stack.directory / "run.json").read_text())
        load = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).with_name("load.py")),
            *("--host", stack.mqtt_host, "--port", str(stack.mqtt_port)),
            *("--seconds", str(wanted.seconds + wanted.warm_up), "--rate", str(wanted.rate)),
            stdout=subprocess.PIPE,
        )
        before, loop = cpu_seconds(pids), asyncio.get_running_loop()
        crossings, began = Crossings(stack, receiver), loop.time()
        await crossings.run(wanted)
        output, _ = await load.communicate()
        used, took = cpu_seconds(pids), loop.time() - began
        rss = psutil.Process(pids["alerting"]).memory_info().rss
    published = json.loads(output)
    firing, resolved = crossings.found["firing"], crossings.found["resolved"]
    return {
        "messages": int(published["acknowledged"]),
        "messages_per_s": round(int(published["acknowledged"]) / float(published["seconds"])),
        "firing": len(firing),
        "firing_p50_ms": in_ms(percentile(firing, 0.5)),
        "firing_p99_ms": in_ms(percentile(firing, 0.99)),
        "resolved": len(resolved),
        "resolved_p50_ms": in_ms(percentile(resolved, 0.5)),
        "resolved_p99_ms": in_ms(percentile(resolved, 0.99)),
        "missing": crossings.missing,
        "notifications": receiver.notifications,
        "busy_cores": round(sum(used[name] - before[name] for name in used) / took, 2),
        "alerting_us_per_message": round(
            (used["alerting"] - before["alerting"]) / max(1, int(published["acknowledged"])) * 1e6, 2
        ),
        "alerting_rss_mib": round(rss / (1 << 20)),
    }


async def _detect(load: Load) -> dict[str, Any]:
    receiver = Receiver()
    async with receiver.running():
        os.environ |= {"ALERTING_WEBHOOK_URL": receiver.url, "ALERTING_ALLOW_PRIVATE_WEBHOOKS": "true"}
        mqtt, api, alerting, nats = ports.free(HOST, 4)
        with tempfile.TemporaryDirectory(prefix="sensorium-bench-") as directory:
            stack = Stack(Options(Path(directory), "nats", mqtt, api, alerting, nats))
            return await measured(stack, receiver, load)


def detecting(load: Load, mark_ms: float) -> dict[str, Any]:
    """Measure, and print a table."""
    title = f"{load.seconds:g} s at {load.rate:g} messages/s of {METRICS} metrics, {load.alerts:g} changes of alerts/s"
    print(f"  publish -> webhook ({title}; one rule that applies)", flush=True)
    told = asyncio.run(_detect(load))
    for name, value in told.items():
        print(f"    {name:<26}{value!s:>10}" + (f"   mark <= {mark_ms:g}" if name == "firing_p99_ms" else ""))
    return told | {"rate": load.rate, "seconds": load.seconds, "mark_p99_ms": mark_ms}
