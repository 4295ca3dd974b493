"""`sensorium verify` asks the query API for what a fleet sent."""

from pathlib import Path
from random import Random

import httpx
import pytest

from contracts.deadletters import DeadLetter
from contracts.readings import Reading
from contracts.timeseries import Days
from processor.engine import Engine
from processor.sqlite import SqliteStore
from simulators.truth.stores.api import Api
from simulators.truth.stores.store import StoreError
from simulators.truth.verify import verify
from tests.unit.devices_api.conftest import KEY, NOW, Service, StoreFile
from tests.unit.simulators.pipeline_in_memory import Fleet


@pytest.fixture
def fleet(tmp_path: Path, service: Service, store: StoreFile) -> Fleet:
    """Give a fleet whose points and dead letters the API has."""
    fleet = Fleet(tmp_path / "ledger", Random(3), 150)
    engine = Engine(SqliteStore(store.path, 1), 1000, lambda _: Days())
    readings = [
        Reading(device, ts, 0, {metric: value})
        for (device, metric), points in fleet.place.there.items()
        for ts, value in points
    ]
    engine.write([(0, readings)], {0: 1})
    engine.close()
    for n, (payload, reason) in enumerate(fleet.place.letters):
        service.letters.letters[n + 1] = DeadLetter(1, reason, "", "t", payload, NOW + n, "ingest")
    return fleet


async def test_everything_is_found_over_http(
    tmp_path: Path, service: Service, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulators.truth.stores.api._LETTERS", 7)
    api = Api("http://api", KEY, transport=httpx.ASGITransport(service.app))
    verdict = await verify(tmp_path / "ledger", api, api, wait_seconds=0)
    assert verdict.ok, verdict.examples
    assert verdict.published == sum(message.acked for message in fleet.messages)
    assert verdict.reasons["malformed"] == len(fleet.place.letters)


async def test_a_point_that_the_api_does_not_have_is_lost(
    tmp_path: Path, service: Service, fleet: Fleet, store: StoreFile
) -> None:
    message = next(message for message in fleet.messages if message.fine())
    store.write(message.device, "mode", [(message.at, "else")])
    api = Api("http://api", KEY, transport=httpx.ASGITransport(service.app))
    verdict = await verify(tmp_path / "ledger", api, api, wait_seconds=0)
    assert (verdict.lost, verdict.wrong) == (1, 1), verdict.examples


async def test_each_dead_letter_is_given_once(service: Service, fleet: Fleet) -> None:
    api = Api("http://api", KEY, transport=httpx.ASGITransport(service.app))
    assert len(await api.fresh(0)) == len(fleet.place.letters)
    service.letters.letters[9999] = DeadLetter(1, "malformed", "", "t", b"{", NOW, "ingest")
    assert [letter.reason for letter in await api.fresh(0)] == ["malformed"]


async def test_of_a_device_that_nobody_knows_there_is_nothing(service: Service) -> None:
    api = Api("http://api", KEY, transport=httpx.ASGITransport(service.app))
    assert [found async for found in api.points("nobody", 0, NOW)] == []


async def test_a_wrong_key_or_address_is_said_at_once(service: Service) -> None:
    wrong = Api("http://api", "wrong", transport=httpx.ASGITransport(service.app))
    with pytest.raises(StoreError, match="401"):
        await wrong.fresh(0)
    elsewhere = Api("http://api/elsewhere", KEY, transport=httpx.ASGITransport(service.app))
    with pytest.raises(StoreError, match="404"):
        [found async for found in elsewhere.points("n-000", 0, NOW)]


async def test_an_api_that_is_away_is_asked_again_and_said_so_in_the_end(service: Service) -> None:
    answers = iter([httpx.Response(503), httpx.Response(502)])
    real = httpx.ASGITransport(service.app)

    class Shaky(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return next(answers, None) or await real.handle_async_request(request)

    assert await Api("http://api", KEY, transport=Shaky()).devices() == set()
    answers = iter([httpx.Response(503)] * 9)
    with pytest.raises(StoreError, match="does not answer"):
        await Api("http://api", KEY, patience=0, transport=Shaky()).devices()
