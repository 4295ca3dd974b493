"""alerting's dry runs read history from the API as it is."""

import math

import pytest

from alerting.dryrun.history import GivenHistory, UnavailableError
from alerting.dryrun.outcome import Limits
from alerting.dryrun.run import dry_run
from alerting.dryrun.stored import StoredHistory
from alerting.judges.build import build
from alerting.rules.spec import parse_spec
from contracts.readings import Reading, Value
from contracts.times import SECOND
from contracts.timeseries import DAY, HOUR, MINUTE, Tier, days_of
from tests.unit.devices_api.conftest import NOW, Service, StoreFile

ODD = "hall 2 unit 7% ü?"
UTC = days_of("")


def wave(count: int, step: int = 10 * SECOND) -> list[tuple[int, Value]]:
    return [(NOW + n * step, 20 + 10 * math.sin(n / 50)) for n in range(count)]


async def test_readings_are_the_points_of_all_metrics_by_time(service: Service, store: StoreFile) -> None:
    store.write(ODD, "a", [(NOW + n, float(n)) for n in range(5000)])
    store.write(ODD, "b", [(NOW + 2 * n, True) for n in range(100)])
    store.write(ODD, "c", [(NOW + 7, "text")])
    history = StoredHistory(service.client)
    found = [one async for one in history.readings(ODD, ("a", "b"), NOW, NOW + 4990)]
    assert [reading.ts for reading in found] == [NOW + n for n in range(4990)]
    assert found[:2] == [
        Reading(ODD, NOW, NOW, {"a": 0.0, "b": True}),
        Reading(ODD, NOW + 1, NOW + 1, {"a": 1.0}),
    ]
    anything = [one async for one in history.readings(ODD, (), NOW + 7, NOW + 8)]
    assert anything == [Reading(ODD, NOW + 7, NOW + 7, {"a": 7.0, "c": "text"})]
    assert [one async for one in history.readings("nobody", (), NOW, NOW + 1)] == []


@pytest.mark.parametrize("tier", [Tier.M1, Tier.H1, Tier.D1])
async def test_windows_are_those_that_readings_make(service: Service, store: StoreFile, tier: Tier) -> None:
    points = wave(3000, 97 * SECOND)
    store.write("a", "m", points, zone="Europe/Paris")
    days = days_of("Europe/Paris")
    given = GivenHistory(Reading("a", ts, ts, {"m": value}) for ts, value in points)
    span = (NOW + MINUTE + 1, NOW + 3 * DAY)
    expected = [one async for one in given.windows("a", "m", tier, days, *span)]
    found = [one async for one in StoredHistory(service.client).windows("a", "m", tier, days, *span)]
    assert len(found) == {Tier.M1: 2671, Tier.H1: 71, Tier.D1: 2}[tier]
    for one, other in zip(found, expected, strict=True):
        assert (one.start, one.end, one.count, one.min, one.max, one.first, one.last) == (
            *(other.start, other.end, other.count, other.min, other.max, other.first, other.last),
        )
        assert one.sum == pytest.approx(other.sum)
        assert one.m2 == pytest.approx(other.m2, abs=1e-6)


@pytest.mark.parametrize(
    "content",
    [
        {"metric": "m", "value": 25, "for": "1m", "clear": 24},
        {"kind": "condition", "condition": "m > 25 && n"},
        {"kind": "window", "metric": "m", "function": "mean", "value": 25, "over": "5m"},
    ],
)
async def test_a_dry_run_over_the_store_is_that_over_the_same_readings(
    service: Service, store: StoreFile, content: dict[str, object]
) -> None:
    points = wave(1500)
    store.write("a", "m", points)
    store.write("a", "n", [(NOW, True), (NOW + 2 * HOUR, False)])
    rule = build("r", 1, parse_spec({"name": "r", **content}))
    readings = [Reading("a", ts, ts, {"m": value}) for ts, value in points]
    readings += [Reading("a", NOW, NOW, {"n": True}), Reading("a", NOW + 2 * HOUR, NOW + 2 * HOUR, {"n": False})]
    runs = [
        await dry_run(rule, NOW, NOW + 5 * HOUR, [("a", None)], history, Limits())
        for history in (StoredHistory(service.client), GivenHistory(readings))
    ]
    assert runs[0].alerts >= 2
    assert [(change.at, change.what) for change in runs[0].timeline[0].changes] == [
        (change.at, change.what) for change in runs[1].timeline[0].changes
    ]


async def test_an_api_that_refuses_is_named(service: Service, store: StoreFile) -> None:
    store.write("a", "m", wave(3))
    async with service.asking("another-key-of-nobody") as client:
        with pytest.raises(UnavailableError, match="devices_api answered 401: "):
            _ = [one async for one in StoredHistory(client).readings("a", ("m",), NOW, NOW + DAY)]
