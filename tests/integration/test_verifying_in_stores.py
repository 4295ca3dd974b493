"""`sensorium verify` finds what went wrong in every real store, asked directly."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import httpx
import pytest

from contracts.readings import Reading
from contracts.timeseries import Days
from contracts.victoria_layout import TICK
from processor.engine import Engine
from processor.influx import InfluxStore
from processor.sqlite import SqliteStore
from simulators.truth.stores.opening import opened
from simulators.truth.verdict import Verdict
from simulators.truth.verify import verify
from tests.stores.influx_server import TOKEN, InfluxServer
from tests.stores.victoria_server import store_at, url_of, victoria_server
from tests.unit.simulators.pipeline_in_memory import Fleet, Message


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path / "ledger", Random(3), 150)


@pytest.fixture
def message(fleet: Fleet) -> Message:
    return next(message for message in fleet.messages[30:] if message.fine() and message.points.get("odd"))


@pytest.fixture
def victoria() -> Iterator[str]:
    with victoria_server() as server:
        yield url_of(server)


def readings(fleet: Fleet) -> list[Reading]:
    return [
        Reading(device, ts, 0, {metric: value})
        for (device, metric), points in fleet.place.there.items()
        for ts, value in points
    ]


def store(kind: str, fleet: Fleet, tmp_path: Path, request: pytest.FixtureRequest) -> tuple[str, str]:
    """Write what the fleet's place holds; gives the store's address and token."""
    if kind == "sqlite":
        engine, address, token = Engine(SqliteStore(tmp_path / "s", 1), 1000, lambda _: Days()), str(tmp_path / "s"), ""
    elif kind == "victoria":
        url = request.getfixturevalue("victoria")
        engine, address, token = Engine(store_at(url), 1000, lambda _: Days(), TICK), f"victoria+{url}", ""
    else:
        influx: InfluxServer = request.getfixturevalue("influx")
        bucket = f"verify-{tmp_path.name}"
        headers = {"Authorization": f"Token {TOKEN}"}
        made = httpx.post(f"{influx.url}/query", data={"q": f'CREATE DATABASE "{bucket}"'}, headers=headers)
        made.raise_for_status()
        engine = Engine(InfluxStore(influx.url, TOKEN, "plant", bucket), 1000, lambda _: Days())
        address, token = f"influxdb+{influx.url}/{bucket}?org=plant", TOKEN
    engine.write([(0, readings(fleet))], {0: 1})
    engine.close()
    return address, token


async def check(tmp_path: Path, address: str, token: str = "", wait: float = 5.0) -> Verdict:
    place = opened(address, token)
    try:
        return await verify(tmp_path / "ledger", place, None, wait_seconds=wait)
    finally:
        await place.close()


@pytest.mark.parametrize("kind", ["sqlite", "influxdb", "victoria"])
async def test_what_is_as_it_should_be_is_fine(
    tmp_path: Path, fleet: Fleet, kind: str, request: pytest.FixtureRequest
) -> None:
    verdict = await check(tmp_path, *store(kind, fleet, tmp_path, request))
    assert verdict.ok, verdict.examples
    assert verdict.stored > 50


@pytest.mark.parametrize("kind", ["sqlite", "influxdb", "victoria"])
async def test_mistakes_in_a_real_store_are_found(
    tmp_path: Path, fleet: Fleet, message: Message, kind: str, request: pytest.FixtureRequest
) -> None:
    other = next(one for one in fleet.messages if one.number > message.number and one.fine())
    fleet.lose(message, "level")
    fleet.store(other, "elsewhere", fleet.lose(other, "mode"))
    fleet.store(message, "invented", 5.0)
    fleet.lose(message, "odd")
    fleet.store(message, "odd", 99.5)
    verdict = await check(tmp_path, *store(kind, fleet, tmp_path, request), wait=0.0 if kind == "sqlite" else 2.0)
    found = verdict.lost, verdict.points.lost, verdict.wrong, verdict.misrouted, verdict.accepted
    assert found == (2, 1, 1, 1, 1), verdict.examples


async def test_rows_that_somebody_changed_in_the_file_are_found(
    tmp_path: Path, fleet: Fleet, message: Message, request: pytest.FixtureRequest
) -> None:
    address, token = store("sqlite", fleet, tmp_path, request)
    with closing(sqlite3.connect(address)) as database:
        [(name,)] = database.execute("SELECT name FROM partition WHERE tier = 'raw'").fetchall()
        [(series,)] = database.execute(
            "SELECT id FROM series WHERE device = ? AND metric = 'level'", (message.device,)
        ).fetchall()
        database.execute(f"UPDATE {name} SET value = 7.5 WHERE series = ? AND ts = ?", (series, message.at))  # noqa: S608
        database.commit()
    verdict = await check(tmp_path, address, token, wait=0.0)
    assert (verdict.wrong, verdict.lost) == (1, 1)
    assert verdict.examples[0].endswith("and 7.5 is there")
