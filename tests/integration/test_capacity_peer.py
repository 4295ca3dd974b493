"""Another subscriber under load, beside a real broker: what it has not stored is seen, and how late it was."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import psutil
import pytest

from contracts import logs
from simulators.capacity.peer import Peer, peer
from simulators.capacity.running import Fleetwide, Query, Steps
from simulators.capacity.subject import SubjectError
from simulators.formats.json import Json
from simulators.models.library import model
from tests.conftest import Server

PROGRAM = """
import json, sys
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

host, port, path, loses = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
file, seen = open(path, "a"), 0

def keep(client, data, message):
    global seen
    seen += 1
    if loses and seen % loses == 0:
        return
    file.write("point\\n" * len(json.loads(message.payload)["values"]))
    file.flush()

def connected(client, *_):
    client.subscribe("devices/+/telemetry", 1)

def subscribed(*_):
    file.write("subscribed\\n")
    file.flush()

client = Client(CallbackAPIVersion.VERSION2)
client.on_message, client.on_connect, client.on_subscribe = keep, connected, subscribed
client.connect(host, port)
client.loop_forever()
"""


@asynccontextmanager
async def subscriber(directory: Path, broker: Server, loses: int = 0) -> AsyncIterator[Peer]:
    program, points = directory / "subscriber.py", directory / "points"
    program.write_text(PROGRAM)
    points.touch()
    assert broker.process is not None
    command = f"{sys.executable} {program} {{mqtt_host}} {{mqtt_port}} {points} {loses}"
    query, at = f"sh -c 'grep -c point {points} || true'", ("127.0.0.1", broker.port)
    async with peer(command, query, {"broker": broker.process.pid}, at, directory / "log") as found:
        async with asyncio.timeout(30):
            while "subscribed" not in points.read_text():
                await asyncio.sleep(0.05)
        yield found


def steps(subject: Peer) -> Steps:
    load = Fleetwide(model("meter"), Json(), devices=10, connections=2, seed=1)
    return Steps(
        subject,
        load,
        Query(),
        seconds=2,
        bound=10,
        now=time.time_ns,  # noqa: TID251 - against real processes
        clock=time.monotonic,
        rng=Random(1),
        log=logs.quiet(),
        stalled_s=1.5,
    )


@pytest.mark.alone
@pytest.mark.parametrize("broker", ["mosquitto"], indirect=True)
async def test_a_subscriber_that_stores_everything_holds(tmp_path: Path, broker: Server) -> None:
    async with subscriber(tmp_path, broker) as subject:
        pid = subject.pids()["subscriber"]
        measured = await steps(subject).step(200)
    assert measured.troubles == []
    assert (measured.published, measured.expected, measured.stored) == (400, 1600, 1600)
    assert 0 <= measured.latencies["p50"] <= measured.latencies["p99"] < 10
    assert {usage.name for usage in measured.usage} == {"broker", "subscriber", "simulators"}
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize("broker", ["mosquitto"], indirect=True)
async def test_what_a_subscriber_loses_is_said(tmp_path: Path, broker: Server) -> None:
    async with subscriber(tmp_path, broker, loses=4) as subject:
        measured = await steps(subject).step(200)
    assert "400 of 1,600 points lost" in measured.troubles


@pytest.mark.parametrize("broker", ["mosquitto"], indirect=True)
@pytest.mark.parametrize(
    ("command", "query", "said"),
    [
        ("no-such-program-here", "echo 1", "--compare-command: "),
        ("sleep 60", "echo many", "--compare-query gave no number: many"),
        ("true", "echo 1", "the subscriber has ended with status 0"),
    ],
)
async def test_a_subscriber_that_cannot_be_measured_is_said(
    tmp_path: Path, broker: Server, command: str, query: str, said: str
) -> None:
    with pytest.raises(SubjectError, match=said):
        await counted_until_it_fails(command, query, ("127.0.0.1", broker.port), tmp_path / "log")


async def counted_until_it_fails(command: str, query: str, at: tuple[str, int], log: Path) -> None:
    async with peer(command, query, {}, at, log) as subject, asyncio.timeout(30):
        while True:
            await subject.written()
