"""Many devices in one request: their newest values, and queries of many series."""

from typing import Any

import pytest

from contracts.times import SECOND, format_time
from contracts.timeseries import DAY, HOUR, MINUTE
from devices_api.telemetry.queries import MAX_SERIES
from tests.unit.devices_api.cases import each
from tests.unit.devices_api.conftest import NOW, Service, StoreFile, problem

BEGIN = NOW
"""2026-01-01 00:00 UTC"""


async def ask(service: Service, **body: Any) -> Any:  # noqa: ANN401 - whatever the API takes and answers
    answer = await service.client.post("/telemetry/query", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refusal(service: Service, **body: Any) -> tuple[int, str, str]:  # noqa: ANN401 - as above
    answer = await service.client.post("/telemetry/query", json=body)
    return *problem(answer), answer.json()["detail"]


async def test_the_newest_values_of_devices_are_answered_as_they_were_named(service: Service, store: StoreFile) -> None:
    store.write("b", "m", [(BEGIN, 1.0), (BEGIN + 1, 2.0)])
    store.write("a", "m", [(BEGIN, True)])
    store.write("a", "n", [(BEGIN, "open")])
    await service.client.post("/devices", json={"id": "silent"})
    page = await service.get("/telemetry/latest", device=["b", "a", "silent", "b"])
    assert [item["device"] for item in page["items"]] == ["b", "a", "silent"]
    assert page["items"][0]["values"] == {"m": {"ts": format_time(BEGIN + 1), "value": 2.0}}
    assert {metric: point["value"] for metric, point in page["items"][1]["values"].items()} == {"m": True, "n": "open"}
    assert page["items"][2]["values"] == {}
    assert page["next"] is None
    named = await service.get("/telemetry/latest", device=["a", "b"], metric="n")
    assert [list(item["values"]) for item in named["items"]] == [["n"], []]
    assert problem(await service.client.get("/telemetry/latest?device=a&device=nobody")) == (404, "unknown-device")
    assert problem(await service.client.get("/telemetry/latest")) == (400, "bad-selection")


async def test_the_newest_values_of_a_filter_come_in_pages(service: Service, store: StoreFile) -> None:
    for number in range(5):
        site = "north" if number % 2 == 0 else "south"
        await service.client.post("/devices", json={"id": f"d{number}", "tags": {"site": site}})
        store.write(f"d{number}", "m", [(BEGIN, float(number))])
    found: list[str] = []
    query = {"filter": 'tags.site eq "north"', "limit": "2"}
    while True:
        page = await service.get("/telemetry/latest", **query)
        found += [item["device"] for item in page["items"]]
        assert all(item["values"]["m"]["value"] == float(item["device"][1:]) for item in page["items"])
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    assert found == ["d0", "d2", "d4"]
    assert problem(await service.client.get("/telemetry/latest?filter=site")) == (400, "bad-filter")


async def test_several_aggregates_of_several_series_come_at_once(service: Service, store: StoreFile) -> None:
    store.write("a", "m", [(BEGIN, 1.0), (BEGIN + 1, 3.0), (BEGIN + 2 * HOUR, "text")])
    store.write("b", "m", [(BEGIN + HOUR, 5.0)])
    asked = {"start": format_time(BEGIN), "end": format_time(BEGIN + 3 * HOUR), "metrics": ["m"]}
    found = await ask(service, devices=["a", "b"], **asked, aggregates=["mean", "count"], interval="1h")
    assert found == {
        "aggregates": ["mean", "count"],
        "interval": "1h",
        "items": [
            {
                "device": "a",
                "metric": "m",
                "source": "rollup_1h",
                "points": [
                    {"ts": format_time(BEGIN), "mean": 2.0, "count": 2},
                    {"ts": format_time(BEGIN + 2 * HOUR), "mean": None, "count": 1},
                ],
            },
            {
                "device": "b",
                "metric": "m",
                "source": "rollup_1h",
                "points": [{"ts": format_time(BEGIN + HOUR), "mean": 5.0, "count": 1}],
            },
        ],
    }
    points = await ask(service, devices=["a"], **asked)
    assert points["interval"] is None
    assert [point["value"] for point in points["items"][0]["points"]] == [1.0, 3.0, "text"]
    filled = await ask(service, devices=["b"], **asked, aggregates=["max"], interval="1h", fill=0)
    assert [point["max"] for point in filled["items"][0]["points"]] == [0.0, 5.0, 0.0]


async def test_weeks_and_months_are_those_of_the_zone(service: Service, store: StoreFile) -> None:
    store.write("a", "m", [(BEGIN + n * 6 * HOUR, 1.0) for n in range(4 * 59)], zone="Europe/Berlin")
    asked = {"start": BEGIN // SECOND, "end": (BEGIN + 59 * DAY) // SECOND, "metrics": ["m"], "aggregates": ["count"]}
    months = await ask(service, devices=["a"], **asked, interval="1mo", zone="Europe/Berlin")
    assert [(point["ts"][:13], point["count"]) for point in months["items"][0]["points"]] == [
        ("2025-12-31T23", 4 * 31), ("2026-01-31T23", 4 * 28),
    ]  # fmt: skip
    weeks = await ask(service, devices=["a"], **asked, interval="1w", zone="Europe/Berlin")
    assert weeks["items"][0]["points"][0] == {"ts": "2025-12-28T23:00:00.000000000Z", "count": 4 * 4}
    assert {point["count"] for point in weeks["items"][0]["points"][1:-1]} == {28}


async def test_the_interval_is_chosen_and_named(service: Service, store: StoreFile) -> None:
    store.write("a", "m", [(BEGIN + n * 600 * SECOND, float(n)) for n in range(6 * 24 * 3)])
    asked = {"devices": ["a"], "metrics": ["m"], "start": BEGIN // SECOND, "aggregates": ["mean"]}
    for end, most, interval in ((HOUR, 60, "1m"), (3 * DAY, 100, "1h"), (3 * DAY, 10, "1d"), (DAY, None, "1h")):
        found = await ask(service, **asked, end=(BEGIN + end) // SECOND, max_points=most)
        assert (found["interval"], found["items"][0]["source"]) == (interval, f"rollup_{interval}")
        assert len(found["items"][0]["points"]) <= (most or 1000)
    one = await service.get(
        "/devices/a/telemetry", metric="m", start=BEGIN // SECOND, end=(BEGIN + DAY) // SECOND, aggregate="mean",
        interval="auto", limit=30,
    )  # fmt: skip
    assert (one["interval"], len(one["points"]), one["next"]) == ("1h", 24, None)


async def test_points_are_chosen_of_all_points_or_of_means_where_they_are_too_many(
    service: Service, store: StoreFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("a", "m", [(BEGIN + n * SECOND, float(n % 7)) for n in range(500)])
    asked = {"devices": ["a"], "metrics": ["m"], "start": BEGIN // SECOND, "end": (BEGIN + HOUR) // SECOND}
    raw = await ask(service, **asked, max_points=20)
    assert (raw["interval"], raw["items"][0]["source"], len(raw["items"][0]["points"])) == (None, "raw", 20)
    monkeypatch.setattr("devices_api.telemetry.queries.MAX_THINNED", 300)
    means = await ask(service, **asked, max_points=20)
    assert (means["interval"], means["aggregates"]) == ("1m", ["mean"])
    assert [point["ts"] for point in means["items"][0]["points"]] == [format_time(BEGIN + n * MINUTE) for n in range(9)]


async def test_a_query_that_is_too_large_is_refused_with_an_estimate(
    service: Service, store: StoreFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("a", "m", [(BEGIN + n * SECOND, 1.0) for n in range(200)])
    asked: dict[str, Any] = {"devices": ["a"], "start": BEGIN // SECOND, "end": (BEGIN + DAY) // SECOND}
    monkeypatch.setattr("devices_api.telemetry.queries.MAX_ANSWER", 150)
    assert await refusal(service, **asked, metrics=["m"]) == (
        400,
        "query-too-large",
        (
            "the query is about 200 points, and 150 are allowed: narrow start and end, name fewer series, or give "
            "max_points or aggregates."
        ),
    )
    of_two = asked | {"metrics": ["m", "n"], "aggregates": ["mean", "max"]}
    await ask(service, **of_two, interval="1h")
    detail = (await refusal(service, **of_two, interval="1m"))[2]
    assert "about 5760 values of windows, and 150" in detail
    many = [f"m{number}" for number in range(MAX_SERIES)]
    assert "2000 series" in (await refusal(service, **asked | {"devices": ["a", "b"]}, metrics=many))[2]


@each(
    ("more", "slug"),
    [
        ({"end": 1}, "bad-time"),
        ({"interval": "1h"}, "bad-interval"),
        ({"fill": "null"}, "bad-fill"),
        ({"aggregates": ["mean"], "interval": "1h", "zone": "Europe/Paris"}, "bad-zone"),
        ({"aggregates": ["mean"], "interval": "2w"}, "bad-interval"),
        ({"devices": []}, "bad-selection"),
        ({"filter": "enabled eq true"}, "bad-selection"),
        ({"aggregates": ["median"]}, "invalid-request"),
        ({"max_points": 2}, "invalid-request"),
        ({"fill": "nan"}, "invalid-request"),
    ],
)
async def test_what_does_not_go_together_is_refused(service: Service, more: dict[str, Any], slug: str) -> None:
    asked = {"devices": ["a"], "metrics": ["m"], "start": 1, "end": 2}
    assert (await refusal(service, **asked | more))[1] == slug


async def test_a_device_that_there_is_not_is_unknown_whatever_is_filled(service: Service) -> None:
    asked = {"devices": ["a"], "metrics": ["m"], "start": 1, "end": 2, "aggregates": ["mean"], "interval": "1s"}
    assert (await refusal(service, **asked, fill=0))[:2] == (404, "unknown-device")
    await service.client.post("/devices", json={"id": "a"})
    assert len((await ask(service, **asked, fill=0))["items"][0]["points"]) == 1
