"""Fleets of every format over a real broker: what they mean to say is on the stream, exactly."""

import contextlib
import time
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path
from random import Random
from typing import Any

import pytest

from contracts import logs
from contracts.readings import Value
from simulators.connections.clients import clients
from simulators.connections.parties import Broker
from simulators.formats import FORMATS, format_named
from simulators.metrics import Metrics
from simulators.models.library import model
from simulators.plan.batch import ARRIVAL, Batch
from simulators.plan.devices import Device
from simulators.running.building import Blueprint
from simulators.scenario.reading import build
from tests.conftest import Server, mosquitto_broker
from tests.integration.ingest_service import Stored, ingest, reading, settings, until

ROUTES = Path(str(resources.files("simulators.formats").joinpath("routes.toml")))

_NOW = time.time_ns  # noqa: TID251 - a test plays the devices, which have clocks

Point = tuple[str, str, int | None]
"""Device, metric and time; None where it is the time of arrival."""


class Running:
    """A fleet of `parts`, as a scenario declares them, and what its readings are to become."""

    def __init__(self, broker: Server, parts: list[dict[str, Any]], seconds: float) -> None:
        fleet = [{"devices": 2, "rate": 1.0, "connections": 1} | part for part in parts]
        scenario = build({"name": "formats", "fleet": fleet, "phase": [{"seconds": seconds}]}, "a test")
        blueprint = Blueprint(scenario)
        self._plan = blueprint.plan
        self.said: dict[Point, Value] = {}
        connects = clients(
            Broker("127.0.0.1", broker.port), login=lambda _: None, now=_NOW, rng=Random(1), log=logs.quiet()
        )
        self.fleet = blueprint.fleet(
            connects,
            ledger=None,
            metrics=Metrics(),
            now=_NOW,
            log=logs.quiet(),
            follow=self._follow,
        )

    def _follow(self, batch: Batch) -> None:
        for block in batch.blocks:
            for name, column in block.columns.items():
                for number, ts, value in zip(block.devices, block.ts, column, strict=True):
                    if value is not None:
                        self.said[self._plan.stored(number).device, name, None if ts == ARRIVAL else ts] = value

    async def end(self) -> None:
        """Wait until everything is sent and acknowledged."""
        await until(lambda: self.fleet.done.is_set() or self.fleet.failure != "", "everything sent")
        assert not self.fleet.failure
        assert await self.fleet.settled(10)


@contextlib.asynccontextmanager
async def running(broker: Server, parts: list[dict[str, Any]], seconds: float) -> AsyncIterator[Running]:
    run = Running(broker, parts, seconds)
    run.fleet.start()
    try:
        yield run
    finally:
        await run.fleet.stop(5)


def points(stored: Stored) -> dict[Point, Value]:
    """Give every point, both with its time and with none: of these, the last."""
    found: dict[Point, Value] = {}
    for one in sorted(stored.readings, key=lambda one: one.received):
        for name, value in one.values.items():
            found[one.device, name, one.ts] = found[one.device, name, None] = value
    return found


def carrying(name: str) -> str:
    """Give a shipped model that the format carries."""
    for shape in ("environment", "vehicle"):
        with contextlib.suppress(ValueError):
            format_named(name).stored(Device(1, "any", 0, 1), model(shape).metrics)
            return shape
    raise AssertionError(f"{name} carries neither")


async def test_every_format_is_stored_as_its_fleet_means_it(stream: Server, broker: Server) -> None:
    parts = [{"model": carrying(name), "format": name, "prefix": name} for name in FORMATS]
    async with ingest(settings(stream, broker, routes=ROUTES)), reading(stream) as stored:
        async with running(broker, parts, 2.0) as run:
            await run.end()
            await until(lambda: run.said.items() <= points(stored).items(), "every point")
        assert not stored.letters


async def test_an_ingest_that_missed_the_births_of_a_sparkplug_fleet_asks_for_them(
    tmp_path: Path, stream: Server
) -> None:
    parts = [{"model": "gateway", "format": "sparkplug", "rate": 5.0}]
    with mosquitto_broker(tmp_path) as broker:
        async with running(broker, parts, 4.0) as run, contextlib.AsyncExitStack() as late_comers:
            await until(lambda: run.fleet.progress.published > 0, "the first data")
            await late_comers.enter_async_context(ingest(settings(stream, broker)))
            stored = await late_comers.enter_async_context(reading(stream))
            await until(lambda: any(r.flags == {} for r in stored.readings), "births and data")
            await run.end()
            last = max(ts for _, _, ts in run.said if ts is not None) - 1_000_000_000
            late = {point: value for point, value in run.said.items() if point[2] is not None and point[2] > last}
            assert late
            await until(lambda: late.items() <= points(stored).items(), "all of the last second")
            known = points(stored)
            assert all(known[point] == value for point, value in run.said.items() if point in known)
            assert {letter.reason for letter in stored.letters} == {"unknown_alias"}


@pytest.mark.parametrize("client", ["native", "paho"])
async def test_a_sparkplug_fleet_whose_connections_break_loses_nothing(
    tmp_path: Path, stream: Server, client: str
) -> None:
    storms = [{"kind": "reconnect_storm", "every": 0.7}]
    part = {"model": "gateway", "format": "sparkplug", "rate": 30.0, "connections": "own", "faults": storms}
    with mosquitto_broker(tmp_path) as broker:
        async with ingest(settings(stream, broker)), reading(stream) as stored:
            async with running(broker, [part | {"client": client}], 3.0) as run:
                await run.end()
                assert run.fleet.progress.reconnects > 2
                await until(lambda: run.said.items() <= points(stored).items(), "every point")
            assert not stored.letters
