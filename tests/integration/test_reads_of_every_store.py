"""One suite for what devices_api reads, over each store: a file, and servers of the test's own."""

import random
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx
import pytest

from contracts.readings import Reading, Value
from contracts.stores import parse_store
from contracts.timeseries import DAY, HOUR, MINUTE, Days
from contracts.victoria_layout import TICK
from devices_api.errors import UnavailableError
from devices_api.telemetry import sqlite, timeseries
from devices_api.telemetry.influx import InfluxTimeSeries
from devices_api.telemetry.sqlite import SqliteTimeSeries
from devices_api.telemetry.timeseries import TimeSeries
from devices_api.telemetry.victoria import VictoriaTimeSeries
from devices_api.telemetry.windows import Aggregate, Calendar, Every, Grid, Query, Unit
from processor.engine import Engine
from processor.influx import InfluxStore
from processor.sqlite import SqliteStore
from tests.conftest import free_port
from tests.stores.influx_server import TOKEN, InfluxServer
from tests.stores.oracle_of_queries import slowly
from tests.stores.victoria_server import now, store_at, url_of, victoria_server

BEGIN = 1_774_742_400_000_000_000
"""2026-03-29 00:00 UTC: the night in which Berlin's clocks go forward."""
MS = 1_000_000
BERLIN = Days("Europe/Berlin")


class Filled(Protocol):
    """A store that processor's engine fills, and what devices_api reads it with."""

    reader: TimeSeries

    def write(self, readings: Sequence[Reading], days: Days) -> None: ...


@dataclass
class File:
    path: Path
    reader: TimeSeries

    def write(self, readings: Sequence[Reading], days: Days) -> None:
        engine = Engine(SqliteStore(self.path, 1), 1000, lambda _: days)
        engine.write([(0, readings)], {0: 1})
        engine.close()


@dataclass
class Influx:
    url: str
    bucket: str
    reader: TimeSeries

    def write(self, readings: Sequence[Reading], days: Days) -> None:
        """Write as two owners of the partition, one after the other."""
        for epoch in (1, 2):
            engine = Engine(InfluxStore(self.url, TOKEN, "plant", self.bucket), 1000, lambda _: days)
            engine.write([(0, readings)], {0: epoch})
            engine.close()


@dataclass
class Victoria:
    url: str
    reader: TimeSeries

    def write(self, readings: Sequence[Reading], days: Days) -> None:
        engine = Engine(store_at(self.url), 1000, lambda _: days, TICK)
        engine.write([(0, readings)], {0: 1})
        engine.close()


@pytest.fixture
def victoria() -> Iterator[str]:
    with victoria_server() as server:
        yield url_of(server)


@pytest.fixture(params=["sqlite", "influxdb", "victoria"])
async def filled(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Filled]:
    """Give an empty store."""
    store: Filled
    if request.param == "sqlite":
        store = File(tmp_path / "store", SqliteTimeSeries(tmp_path / "store"))
    elif request.param == "victoria":
        url = request.getfixturevalue("victoria")
        store = Victoria(url, VictoriaTimeSeries(parse_store(f"victoria+{url}"), "", now))
    else:
        influx: InfluxServer = request.getfixturevalue("influx")
        bucket = f"reads-{tmp_path.name}"
        async with httpx.AsyncClient(headers={"Authorization": f"Token {TOKEN}"}) as client:
            statement = f'CREATE DATABASE "{bucket}"'
            (await client.post(f"{influx.url}/query", data={"q": statement})).raise_for_status()
        reader = InfluxTimeSeries(parse_store(f"influxdb+{influx.url}/{bucket}?org=plant"), TOKEN)
        store = Influx(influx.url, bucket, reader)
    yield store
    await store.reader.close()


def some_points(seed: int, count: int = 300) -> dict[int, Value]:
    rng = random.Random(seed)
    points: dict[int, Value] = {}
    for _ in range(count):
        ts = BEGIN + rng.choice([rng.randrange(-DAY, 2 * DAY), rng.randrange(3 * HOUR)]) // MS * MS
        values: list[Value] = [round(rng.uniform(-99, 99), 3), float(rng.randrange(9)), rng.random() < 0.5, 'a,b ="c"']
        points[ts] = rng.choice(values)
    return points


def readings(metric: str, points: dict[int, Value], profile: str = "default") -> list[Reading]:
    return [Reading("still 1", ts, 0, {metric: value}, {}, profile) for ts, value in sorted(points.items())]


GRIDS: list[Grid] = [
    Every(90_000_000_000), Every(MINUTE), Every(HOUR), Every(DAY), BERLIN, Days("Asia/Kolkata"),
    Calendar(BERLIN, Unit.WEEK), Calendar(BERLIN, Unit.MONTH),
]  # fmt: skip


@pytest.mark.parametrize("device_days", [Days(), BERLIN], ids=["UTC", "Berlin"])
async def test_every_answer_is_that_of_the_points(filled: Filled, device_days: Days) -> None:
    points = some_points(7)
    filled.write([Reading("other", BEGIN, 0, {"mash.t": 1.0}), *readings("mash.t", points)], device_days)
    reader = filled.reader
    assert await reader.has("still 1")
    assert not await reader.has("still")
    newest = max(points)
    assert await reader.latest("still 1") == {"mash.t": (newest, points[newest])}
    for start, end in ((BEGIN - DAY, BEGIN + 2 * DAY), (BEGIN + 95_001 * MS, BEGIN + 26 * HOUR + 1)):
        stored = [(ts, value) for ts, value in sorted(points.items()) if start <= ts < end]
        assert await reader.points("still 1", "mash.t", start, end, 1000) == stored
        assert await reader.points("still 1", "mash.t", start, end, 7) == stored[:7]
        assert [point async for page in reader.scan("still 1", "mash.t", start, end) for point in page] == stored
        for grid in GRIDS:
            queries = [Query("still 1", "mash.t", aggregate, start, end, grid, device_days) for aggregate in Aggregate]
            for aggregate, query, (found, _) in zip(Aggregate, queries, await reader.windows_of(queries), strict=True):
                wanted = slowly(points, aggregate, grid, start, end)
                assert [(at, value.__class__) for at, value in found] == [(at, v.__class__) for at, v in wanted], query
                if aggregate is Aggregate.LAST:
                    assert found == wanted
                else:
                    assert [v for _, v in found] == pytest.approx([v for _, v in wanted], abs=1e-6), query


async def test_profiles_are_joined(filled: Filled) -> None:
    filled.write(readings("m", {BEGIN: 1.0, BEGIN + MS: 2.0}, "old"), Days())
    filled.write(readings("m", {BEGIN + MS: 3.0, BEGIN + 2 * MS: 4.0}, "new"), Days())
    reader = filled.reader
    assert await reader.points("still 1", "m", BEGIN, BEGIN + HOUR, 9) == [
        (BEGIN, 1.0), (BEGIN + MS, 3.0), (BEGIN + 2 * MS, 4.0),
    ]  # fmt: skip
    assert await reader.latest("still 1") == {"m": (BEGIN + 2 * MS, 4.0)}
    for aggregate, value in ((Aggregate.FIRST, 1.0), (Aggregate.LAST, 4.0), (Aggregate.MAX, 4.0)):
        query = Query("still 1", "m", aggregate, BEGIN, BEGIN + HOUR, Every(HOUR))
        assert (await reader.windows(query)).windows == [(BEGIN, value)]


async def test_many_devices_are_read_at_once(filled: Filled) -> None:
    filled.write(
        [
            *readings("m", {BEGIN: 1.0, BEGIN + MS: "late"}),
            Reading("other", BEGIN, 0, {"m": True, "n": 2.0}, {}),
            Reading("third", BEGIN, 0, {"n": 3.0}, {}),
        ],
        Days(),
    )
    reader = filled.reader
    assert await reader.latest_of(["other", "still 1", "nobody"]) == {
        "other": {"m": (BEGIN, True), "n": (BEGIN, 2.0)},
        "still 1": {"m": (BEGIN + MS, "late")},
    }
    assert await reader.latest_of(["third", "other"], ["m"]) == {"other": {"m": (BEGIN, True)}}
    span = BEGIN, BEGIN + HOUR, Every(HOUR)
    queries = [Query(name, "n", Aggregate.SUM, *span) for name in ("third", "nobody", "other", "third")]
    found = await reader.windows_of(queries)
    assert [answer.windows for answer in found] == [[(BEGIN, 3.0)], [], [(BEGIN, 2.0)], [(BEGIN, 3.0)]]


async def test_a_scan_gives_pages(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (timeseries, sqlite):
        monkeypatch.setattr(module, "PAGE", 7)
    points: dict[int, Value] = {BEGIN + n * n * 12 * HOUR: float(n) for n in range(8)}
    points |= {BEGIN + n * MS: float(n) for n in range(30)}
    filled.write(readings("m", points), Days())
    pages = [page async for page in filled.reader.scan("still 1", "m", 0, BEGIN + 60 * DAY)]
    assert [point for page in pages for point in page] == sorted(points.items())
    assert max(map(len, pages)) <= 7


async def test_names_are_kept_apart(filled: Filled) -> None:
    names = ["a", "a:text", "A", "temp °C", 'q"uote', "a,b=c d", "time", "back\\slash"]
    values: dict[str, Value] = {name: float(at) for at, name in enumerate(names)}
    filled.write([Reading('d "1", \\x', BEGIN, 0, values, {}, "p:1m")], Days())
    assert await filled.reader.latest('d "1", \\x') == {name: (BEGIN, value) for name, value in values.items()}
    for name, value in values.items():
        assert await filled.reader.points('d "1", \\x', name, BEGIN, BEGIN + 1, 9) == [(BEGIN, value)]
    assert await filled.reader.latest("d' OR device = 'd") == {}


async def test_where_nothing_is_answers_are_empty(filled: Filled) -> None:
    assert not await filled.reader.has("d")
    assert await filled.reader.latest("d") == {}
    assert await filled.reader.points("d", "m", 0, BEGIN, 9) == []
    assert await filled.reader.windows(Query("d", "m", Aggregate.MEAN, 0, BEGIN, Every(HOUR))) == ([], "rollup_1h")


@pytest.mark.parametrize("kind", ["influxdb", "victoria"])
async def test_a_server_that_is_away_is_unavailable(kind: str) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    reader: TimeSeries = InfluxTimeSeries(parse_store(f"influxdb+{url}/telemetry"), "", timeout=1)
    if kind == "victoria":
        reader = VictoriaTimeSeries(parse_store(f"victoria+{url}"), "", now, timeout=1)
    with pytest.raises(UnavailableError, match="time-series store"):
        await reader.latest("d")
    await reader.close()
