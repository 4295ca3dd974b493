import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.readings import Reading, Value
from ingest import table
from ingest.outcomes import Ignored, State
from ingest.table import Row
from tests.unit.ingest.decoding import NOW, Ingest, decode, only, refused

BASE = "teslamate/cars/2"
DEVICE = "teslamate:2"


def test_a_value_is_a_reading_when_it_is_received() -> None:
    decoded = decode(f"{BASE}/battery_level", "57")
    assert only(decoded) == Reading(DEVICE, NOW, NOW, {"battery_level": 57.0})
    assert decoded.units == {DEVICE: {"battery_level": "%"}}


@pytest.mark.parametrize(
    ("field", "unit"),
    [
        ("speed", "km/h"),
        ("odometer", "km"),
        ("est_battery_range_km", "km"),
        ("inside_temp", "degC"),
        ("usable_battery_level", "%"),
        ("power", "kW"),
        ("charger_power", "kW"),
        ("charge_energy_added", "kWh"),
        ("tpms_pressure_fl", "bar"),
        ("charger_voltage", "V"),
        ("charger_actual_current", "A"),
        ("latitude", "deg"),
    ],
)
def test_the_field_says_the_unit(field: str, unit: str) -> None:
    assert decode(f"{BASE}/{field}", "1").units == {DEVICE: {field: unit}}


@pytest.mark.parametrize(
    ("field", "payload", "value"),
    [
        ("plugged_in", "true", True),
        ("locked", "false", False),
        ("geofence", "Depot", "Depot"),
        ("since", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("scheduled_charging_start_time", "2026-02-30T06:00:00Z", "2026-02-30T06:00:00Z"),
    ],
)
def test_other_values_are_kept_as_they_are_and_no_date_is_a_sample_s(field: str, payload: str, value: Value) -> None:
    assert only(decode(f"{BASE}/{field}", payload)) == Reading(DEVICE, NOW, NOW, {field: value})


def test_a_namespace_is_part_of_the_device() -> None:
    assert only(decode("teslamate/fleet/cars/2/speed", "80")).device == "teslamate:fleet:2"
    assert only(decode("teslamate/cars/cars/2/speed", "80")).device == "teslamate:cars:2"
    ingest = Ingest([Row("mine", ["teslamate/cars/+/+"], "teslamate", device="car-{3}")])
    assert only(ingest.decode(f"{BASE}/speed", "80")).device == "car-2"


@pytest.mark.parametrize(
    ("word", "online"),
    [("driving", True), ("charging", True), ("online", True), ("asleep", False), ("offline", False)],
)
def test_the_state_says_whether_the_car_is_there(word: str, *, online: bool) -> None:
    decoded = decode(f"{BASE}/state", word)
    assert decoded.states == [State(DEVICE, online=online, at=NOW, reason=word)]
    assert decoded.ignored is Ignored.PRESENCE


def test_whether_it_is_healthy_is_its_health() -> None:
    assert only(decode(f"{BASE}/healthy", "true")) == Reading(DEVICE, NOW, NOW, {"healthy": True}, {"health": ""})


@pytest.mark.parametrize(
    ("field", "fact"),
    [("display_name", "name"), ("model", "model"), ("version", "firmware"), ("trim_badging", "trim")],
)
def test_what_the_car_is_are_facts(field: str, fact: str) -> None:
    decoded = decode(f"{BASE}/{field}", "3")
    assert (decoded.facts, decoded.ignored) == ({DEVICE: {fact: "3"}}, Ignored.METADATA)


def test_retained_values_may_be_days_old_and_make_no_reading() -> None:
    assert decode(f"{BASE}/battery_level", "57", retained=True).ignored is Ignored.RETAINED_UNTIMED
    assert decode(f"{BASE}/state", "asleep", retained=True).states


@pytest.mark.parametrize("payload", ["", " ", "nan", "null"])
def test_a_field_that_does_not_apply_is_no_value(payload: str) -> None:
    assert decode(f"{BASE}/charge_energy_added", payload).ignored is Ignored.NO_VALUE
    assert decode(f"{BASE}/state", payload).ignored is Ignored.NO_VALUE


def test_the_location_repeats_latitude_and_longitude() -> None:
    assert decode(f"{BASE}/location", '{"latitude": 1, "longitude": 2}').ignored is Ignored.REPEAT


def test_a_field_may_be_an_object() -> None:
    found = only(decode(f"{BASE}/active_route", '{"destination": "Depot", "energy_at_arrival": 41, "error": null}'))
    assert found.values == {"active_route.destination": "Depot", "active_route.energy_at_arrival": 41.0}
    refused(decode(f"{BASE}/active_route", "{"), Reason.MALFORMED)


@pytest.mark.parametrize("payload", ["[1]", b"\xff", "Infinity"])
def test_what_is_no_value_is_rejected(payload: str | bytes) -> None:
    assert decode(f"{BASE}/speed", payload).problems is not None


@pytest.mark.parametrize("topic", ["teslamate", "teslamate/cars/2", "teslamate/settings/a/b"])
def test_other_topics_are_unsupported(topic: str) -> None:
    assert decode(topic, "1").ignored is Ignored.UNSUPPORTED


def test_positions_of_people_are_off_until_somebody_turns_them_on() -> None:
    assert [row.enabled for row in table.built_in() if row.decoder == "teslamate"] == [False]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_comes_through_exactly(number: float) -> None:
    assert only(decode(f"{BASE}/speed", json.dumps(number))).values == {"speed": number}


def test_a_version_is_text_also_where_it_looks_like_a_number() -> None:
    assert only(decode(f"{BASE}/update_version", "2026.2")).values == {"update_version": "2026.2"}


def test_an_object_that_says_there_is_none_is_no_value() -> None:
    assert decode(f"{BASE}/active_route", '{"error": "No active route available"}').ignored is Ignored.NO_VALUE
