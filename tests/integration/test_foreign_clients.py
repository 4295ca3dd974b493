"""Clients that others wrote publish through a real broker, and the stream has exactly what they sent."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.readings import Value
from tests.conftest import REQUIRE_SERVICES, Server, mosquitto_broker, need
from tests.integration.ingest_service import Stored, ingest, reading, settings, until

PROGRAMS = Path(__file__).parents[1] / "peers"
AT = 1_767_225_600_250_000_000
SECOND = 1_000_000_000


def python_of(program: str) -> str:
    """Path of the Python that has what a program of tests/peers imports."""
    peers = "peers-thingsboard" if program.startswith("thingsboard") else "peers"
    python = Path(sys.prefix) / peers / "bin" / "python"
    if not python.exists():
        message = f"{python} is missing: run 'make test', which installs requirements-{peers}.lock"
        if REQUIRE_SERVICES:
            pytest.fail(message)
        pytest.skip(message)
    return str(python)


@contextlib.asynccontextmanager
async def running(*command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a client; it has to end well by itself, once its standard input is closed."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    try:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        said, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, said.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def publish(name: str, *words: object) -> None:
    async with running(python_of(name), str(PROGRAMS / name), *map(str, words)):
        pass


@contextlib.asynccontextmanager
async def service(stream: Server, broker: Server, **more: object) -> AsyncIterator[Stored]:
    async with ingest(settings(stream, broker, **more)), reading(stream) as stored:
        yield stored


def told(stored: Stored) -> set[tuple[str, int | None, tuple[tuple[str, Value], ...]]]:
    """Give device, time and values of each reading; no time where it is that of arrival."""
    return {(r.device, None if r.ts == r.received else r.ts, tuple(sorted(r.values.items()))) for r in stored.readings}


def states(stored: Stored) -> set[tuple[str, str]]:
    return {(presence.device, presence.state) for presence in stored.presences}


async def test_mosquitto_pub(stream: Server, broker: Server) -> None:
    program = need("mosquitto_pub", "mosquitto-clients")
    to = (program, "-h", "127.0.0.1", "-p", str(broker.port), "-i", "pub-1", "-q", "1")
    async with service(stream, broker) as stored:
        async with running(*to, "-t", "devices/pub-1/telemetry", "-m", '{"ts": 1767225600250, "soil": 31.4}'):
            pass
        async with running(*to, "-t", "devices/pub-1/telemetry/wind", "-m", "4.75"):
            pass
        lines = (*to, "-t", "devices/pub-1/telemetry/gust", "-l")
        async with running(*lines) as client:
            assert client.stdin is not None
            client.stdin.write(b"5\n6.5\nON\n")
        await until(lambda: len(stored.readings) == 5, "five readings")
        assert told(stored) == {
            ("pub-1", AT, (("soil", 31.4),)),
            ("pub-1", None, (("wind", 4.75),)),
            ("pub-1", None, (("gust", 5.0),)),
            ("pub-1", None, (("gust", 6.5),)),
            ("pub-1", None, (("gust", "ON"),)),
        }


async def test_aiomqtt(stream: Server, broker: Server) -> None:
    await with_aiomqtt(stream, broker, "3.1.1")


async def test_aiomqtt_with_mqtt_5(tmp_path: Path, stream: Server) -> None:
    with mosquitto_broker(tmp_path) as broker:
        await with_aiomqtt(stream, broker, "5")


async def with_aiomqtt(stream: Server, broker: Server, version: str) -> None:
    async with service(stream, broker, mqtt_protocol=version) as stored:
        await publish("aiomqtt_device.py", broker.port, version)
        await until(lambda: len(stored.readings) == 2, "two readings")
        assert told(stored) == {
            ("aio-1", AT, (("flow", 3.5), ("open", True))),
            ("aio-1", None, (("level", 71.25),)),
        }
        await until(lambda: ("aio-1", "online") in states(stored), "online")


async def test_gmqtt(stream: Server, broker: Server) -> None:
    await with_gmqtt(stream, broker, "3.1.1")


async def test_gmqtt_with_mqtt_5(tmp_path: Path, stream: Server) -> None:
    with mosquitto_broker(tmp_path) as broker:
        await with_gmqtt(stream, broker, "5")


async def with_gmqtt(stream: Server, broker: Server, version: str) -> None:
    async with service(stream, broker, mqtt_protocol=version) as stored:
        await publish("gmqtt_device.py", broker.port, 5 if version == "5" else 4)
        await until(lambda: len(stored.readings) == 3, "three readings")
        assert told(stored) == {
            ("gm-1", AT, (("flow", 4.5), ("mode", "auto"))),
            ("gm-1", 1_767_225_601 * SECOND, (("flow", 5.0),)),
            ("gm-1", 1_767_225_602 * SECOND, (("flow", 6.0),)),
        }


async def test_thingsboards_client_as_a_gateway(tmp_path: Path, stream: Server) -> None:
    # It speaks MQTT 5 alone, which nats-server does not.
    with mosquitto_broker(tmp_path) as broker:
        async with service(stream, broker) as stored:
            await publish("thingsboard_gateway.py", broker.port)
            await until(lambda: len(stored.readings) == 3, "three readings")
            assert told(stored) == {
                ("Oven 1", AT, (("core", 180.5), ("door", False))),
                ("Oven 1", AT + SECOND, (("core", 181.5),)),
                ("Oven 2", AT + 2 * SECOND, (("core", 20.0),)),
            }
            await until(lambda: {("Oven 1", "online"), ("Oven 1", "offline")} <= states(stored), "its states")
            assert not stored.letters


async def test_pysparkplug_as_an_edge_node_with_a_device(stream: Server, broker: Server) -> None:
    async with (
        service(stream, broker) as stored,
        running(python_of("sparkplug"), str(PROGRAMS / "sparkplug_node.py"), str(broker.port)),
    ):
        wanted = {
            ("PressHall:Edge-7", AT, (("pressure", 6.25),)),
            ("PressHall:Edge-7:Pump-2", AT, (("on", True), ("rpm", -1200.0))),
            ("PressHall:Edge-7", AT + SECOND, (("pressure", 6.5),)),
            ("PressHall:Edge-7:Pump-2", AT + 2 * SECOND, (("rpm", 1250.0),)),
        }
        await until(lambda: wanted <= told(stored), "all four readings")
        assert told(stored) == wanted
        assert not stored.letters


async def test_thingsboards_client_as_a_device_where_the_broker_does_not_say_which(
    tmp_path: Path, stream: Server
) -> None:
    with mosquitto_broker(tmp_path) as broker:
        # Switched on as somebody would whose broker adds the property; this one does not.
        table = tmp_path / "routes.toml"
        table.write_text('[[route]]\nname = "thingsboard"\nenabled = true\n')
        async with service(stream, broker, routes=table) as stored:
            await publish("thingsboard_device.py", broker.port)
            await until(lambda: len(stored.letters) == 1, "its dead letter")
            [letter] = stored.letters
            assert (letter.reason, letter.topic) == ("no_identity", "v1/devices/me/telemetry")
            assert not stored.readings
