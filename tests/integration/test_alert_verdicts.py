"""Events of a model against the alerts that the real service makes of them."""

import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import pytest

from simulators.models.library import model
from simulators.models.model import Event
from simulators.truth.alerting_api import AlertingError, fired
from simulators.truth.alerts import Breach, judge
from tests.conftest import Server
from tests.integration.alerting_service import Bench, benching, receiving, until

SECOND = 1_000_000_000
DEVICES = np.arange(3)


@pytest.fixture
async def bench(stream: Server, tmp_path: Path) -> AsyncIterator[Bench]:
    with receiving() as receiver:
        async with benching(stream, tmp_path, receiver) as bench:
            await bench.connect()
            yield bench


async def test_alerts_of_the_service_find_the_events_and_what_is_planted_is_named(bench: Bench) -> None:
    pump, end = model("pump"), time.time_ns()  # noqa: TID251 - alerting's clock
    start = end - 90 * SECOND
    around = pump.events(1, DEVICES, start - 60 * SECOND, end + 60 * SECOND)
    events = [event for event in around if event.start < end and start < event.end]
    hidden = events[1]
    shown: dict[Event, Breach] = {}
    async with bench.service():
        rule = await bench.add_rule(name="overpressure", metric="pressure", value=9, clear=7, flapping={"changes": 0})
        for device in DEVICES.tolist():
            ts = np.arange(start, end, SECOND // 2)
            pressures = pump.values(1, np.full(len(ts), device), ts)["pressure"]
            for at, pressure in zip(ts.tolist(), pressures, strict=True):
                event = next((one for one in events if one.device == device and one.start <= at <= one.end), None)
                if float(pressure) > 9 and event is not None and event not in shown:
                    shown[event] = Breach(at, at, time.time_ns())  # noqa: TID251 - as above
                bench.clock = at - 1_000_000
                await bench.publish(5.0 if event == hidden else pressure, device=f"pump-{device}", metric="pressure")
        bench.clock = end
        await bench.publish(9.5, device="pump-99", metric="pressure")
        await until(partial(told, bench, len(shown)))
        alerts = await fired(bench.client, rule, start)
        assert await fired(bench.client, rule, end + SECOND) == []
        async with httpx.AsyncClient(base_url=bench.client.base_url) as stranger:
            with pytest.raises(AlertingError, match="alerting answers 401"):
                await fired(stranger, rule, start)
    verdict = judge(events, alerts, shown.get, lambda number: f"pump-{number}")
    assert len(events) >= 4
    assert verdict.missed == [hidden]
    assert [one.device for one in verdict.spurious] == ["pump-99"]
    assert (len(verdict.found), verdict.repeated, verdict.covered) == (len(shown) - 1, [], [])
    assert all(0 < delay < 30 for delay in verdict.delays)


async def told(bench: Bench, count: int) -> bool:
    """Whether so many alerts fired."""
    return len(await bench.alerts()) == count


async def test_a_service_that_is_away_is_told() -> None:
    async with httpx.AsyncClient(base_url="http://127.0.0.1:1") as client:
        with pytest.raises(AlertingError, match="alerting does not answer: ConnectError"):
            await fired(client, "rule", 0)
