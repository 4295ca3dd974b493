import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.readings import Reading
from ingest import table
from ingest.findings import SECONDS
from ingest.outcomes import Ignored, State
from ingest.table import Row
from tests.unit.ingest.decoding import NOW, Ingest, decode, refused

TOPIC = "owntracks/mara/pannier"
DEVICE = "mara:pannier"
FIX = 1_767_225_618_000_000_000


def location(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    return {
        "_type": "location",
        "lat": 46.21873,
        "lon": -14.60412,
        "acc": 9,
        "alt": 388,
        "vac": 4,
        "vel": 21,
        "cog": 270,
        "p": 97.3,
        "batt": 64,
        "tst": 1767225618,
        "tid": "mp",
        "t": "u",
        "conn": "m",
        "bs": 1,
        "m": 2,
        "inregions": ["Depot"],
        "created_at": 1767225619,
    } | more


def test_a_location_is_a_reading_at_the_time_of_its_fix_and_the_battery_another() -> None:
    decoded = decode(TOPIC, json.dumps(location()))
    assert decoded.readings == [
        Reading(
            DEVICE,
            FIX,
            NOW,
            {
                "lat": 46.21873,
                "lon": -14.60412,
                "acc": 9.0,
                "alt": 388.0,
                "vac": 4.0,
                "vel": 21.0,
                "cog": 270.0,
                "p": 97.3,
            },
        ),
        Reading(DEVICE, FIX, NOW, {"batt": 64.0}, {"health": ""}),
    ]
    assert decoded.units == {
        DEVICE: {
            "lat": "deg",
            "lon": "deg",
            "acc": "m",
            "alt": "m",
            "vac": "m",
            "vel": "km/h",
            "cog": "deg",
            "p": "kPa",
            "batt": "%",
        }
    }
    assert decoded.facts == {DEVICE: {"label": "mp"}}


def test_user_and_device_together_are_the_device() -> None:
    assert decode("owntracks/mara/phone", json.dumps(location())).readings[0].device == "mara:phone"
    assert decode("owntracks/ivo/phone", json.dumps(location())).readings[0].device == "ivo:phone"
    ingest = Ingest([Row("trucks", ["haulage/positions/#"], "owntracks")])
    assert ingest.decode("haulage/positions/ivo/truck", json.dumps(location())).readings[0].device == "ivo:truck"


def test_stored_fixes_keep_their_times_also_retained() -> None:
    old = json.dumps(location(tst=1767139218))
    assert decode(TOPIC, old, retained=True).readings[0].ts == 1_767_139_218_000_000_000


def test_a_fix_without_a_time_has_that_of_its_arrival() -> None:
    body = location()
    del body["tst"]
    assert decode(TOPIC, json.dumps(body)).readings[0].ts == NOW


def test_what_a_fix_does_not_hold_is_not_counted_as_no_value() -> None:
    fix = location()
    del fix["batt"]
    assert decode(TOPIC, json.dumps(fix)).left_out is None


def test_an_uncertain_fix_is_stored_with_its_uncertainty() -> None:
    assert decode(TOPIC, json.dumps(location(acc=4500))).readings[0].values["acc"] == 4500.0


@pytest.mark.parametrize(
    ("lat", "lon"), [(None, 14), (46, None), ("46", "14"), (True, 14), (46, 181), (-91, 0), ([1], 2), (1e400, 0)]
)
def test_half_a_position_is_none_and_the_rest_is_stored(lat: Any, lon: Any) -> None:  # noqa: ANN401 - as above
    decoded = decode(TOPIC, json.dumps(location(lat=lat, lon=lon)))
    assert decoded.readings[0].values == {"alt": 388.0, "vac": 4.0, "vel": 21.0, "cog": 270.0, "p": 97.3}
    refused(decoded, Reason.BAD_VALUE, "no position")


def test_a_bad_time_rejects_the_fix() -> None:
    refused(decode(TOPIC, json.dumps(location(tst=[1]))), Reason.BAD_TIME)


def test_a_will_says_that_the_device_is_gone_now() -> None:
    decoded = decode(TOPIC, json.dumps({"_type": "lwt", "tst": 1767000000}))
    assert decoded.states == [State(DEVICE, online=False, at=NOW, reason="lwt")]


def test_an_app_that_sends_is_there_which_is_told_once_a_minute() -> None:
    ingest, fix = Ingest(), json.dumps(location())
    assert ingest.decode(TOPIC, fix, retained=True).states == []
    assert ingest.decode(TOPIC, fix).states == [State(DEVICE, online=True, at=NOW)]
    assert ingest.decode(TOPIC, fix, at=NOW + 59 * SECONDS).states == []
    assert ingest.decode(TOPIC, fix, at=NOW + 60 * SECONDS).states != []


def test_a_card_names_the_device() -> None:
    decoded = decode(f"{TOPIC}/info", json.dumps({"_type": "card", "name": "Mara's bike", "tid": "mb", "face": "x"}))
    assert decoded.facts == {DEVICE: {"name": "Mara's bike", "label": "mb"}}
    assert decoded.ignored is Ignored.METADATA


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("transition", Ignored.EVENT),
        ("waypoint", Ignored.METADATA),
        ("waypoints", Ignored.METADATA),
        ("configuration", Ignored.METADATA),
        ("status", Ignored.METADATA),
        ("cmd", Ignored.COMMAND),
        ("steps", Ignored.EVENT),
        ("beacon", Ignored.EVENT),
        ("dump", Ignored.METADATA),
        ("encrypted", Ignored.PRIVATE),
        ("something-new", Ignored.UNSUPPORTED),
    ],
)
def test_everything_else_is_ignored(what: str, why: Ignored) -> None:
    decoded = decode(f"{TOPIC}/event", json.dumps(location(_type=what)))
    assert (decoded.ignored, decoded.readings) == (why, ())


def test_an_empty_payload_is_ignored_and_what_has_no_type_malformed() -> None:
    assert decode(TOPIC, "").ignored is Ignored.EMPTY
    refused(decode(TOPIC, '{"lat": 1, "lon": 2}'), Reason.MALFORMED, "_type")
    refused(decode(TOPIC, "X,4f,2"), Reason.MALFORMED)


def test_positions_of_people_are_off_until_somebody_turns_them_on() -> None:
    assert [row.enabled for row in table.built_in() if row.decoder == "owntracks"] == [False]


@given(st.floats(-90, 90), st.floats(-180, 180))
def test_a_position_comes_through_exactly(lat: float, lon: float) -> None:
    values = decode(TOPIC, json.dumps(location(lat=lat, lon=lon))).readings[0].values
    assert (values["lat"], values["lon"]) == (lat, lon)
