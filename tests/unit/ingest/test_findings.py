import pytest

from contracts.deadletters import Reason
from contracts.devices import DeviceRecord
from contracts.readings import Reading
from ingest.context import Context
from ingest.findings import HEALTH, MILLISECONDS, Findings
from ingest.limits import Limits
from ingest.outcomes import Arrival, Ignored
from ingest.routes import Routes
from ingest.table import Row
from tests.unit.ingest.decoding import AHEAD, NOW, refused

ROME = DeviceRecord(1, "rome", enabled=True, profile="", zone="Europe/Rome")
WRONG = DeviceRecord(1, "wrong", enabled=True, profile="", zone="Nowhere/Land")


def findings(*, retained: bool = False, zone: str = "", limits: Limits | None = None) -> Findings:
    arrival = Arrival("t", b"", NOW, retained=retained)
    route = Routes([Row("t", ["t"], "json", "d", zone)], AHEAD).of(arrival)
    assert route is not None
    return Findings(arrival, route, Context(limits or Limits(), {"rome": ROME, "wrong": WRONG}.get))


def test_values_of_one_moment_are_one_reading_and_those_about_the_device_itself_another() -> None:
    found = findings()
    moment = found.when(1767225600000)
    found.reading("d", {"a": 1, "b": {"c": "x"}}, moment)
    found.reading("d", {"e": [1, 2]}, moment)
    found.reading("d", {"rssi": -70}, moment, flags=HEALTH)
    found.reading("other", {"a": 2}, moment)
    assert found.decoded().readings == [
        Reading("d", 1_767_225_600_000_000_000, NOW, {"a": 1.0, "b.c": "x", "e.1": 1.0, "e.2": 2.0}),
        Reading("d", 1_767_225_600_000_000_000, NOW, {"rssi": -70.0}, {"health": ""}),
        Reading("other", 1_767_225_600_000_000_000, NOW, {"a": 2.0}),
    ]


def test_readings_without_a_time_that_name_a_metric_again_are_a_nanosecond_apart() -> None:
    found = findings()
    for number in range(3):
        found.reading("d", {"a": number})
    assert [(r.ts, r.values) for r in found.decoded().readings] == [(NOW + n, {"a": float(n)}) for n in range(3)]


def test_readings_without_a_time_are_apart_whatever_their_flags_and_however_many_there_are() -> None:
    found = findings()
    for number in range(9_998):
        found.reading("d", {"a": number}, flags=HEALTH if number % 2 else {})
    found.reading("d", {"b": 1})
    found.reading("other", {"a": 1})
    readings = found.decoded().readings
    assert {(r.device, r.ts) for r in readings} == {("other", NOW)} | {("d", NOW + n) for n in range(9_998)}
    assert readings[0].values == {"a": 0.0, "b": 1.0}


def test_of_one_metric_at_one_stated_time_the_last_value_holds() -> None:
    found = findings()
    for number in range(3):
        found.reading("d", {"a": number}, found.when(1767225600000))
    assert [r.values for r in found.decoded().readings] == [{"a": 2.0}]


def test_more_metrics_of_one_moment_than_a_reading_may_hold_are_more_readings() -> None:
    found = findings(limits=Limits(metrics=2))
    for name in "abcde":
        found.reading("d", {name: 1}, found.when(1767225600000))
    decoded = found.decoded()
    assert {name for reading in decoded.readings for name in reading.values} == set("abcde")
    assert all(len(reading.values) <= 2 for reading in decoded.readings)


@pytest.mark.parametrize(
    ("device", "zone", "offset", "name"),
    [
        ("rome", "", 3600, "Europe/Rome"),
        ("rome", "America/Bogota", 3600, "Europe/Rome"),
        ("d", "America/Bogota", -18_000, "America/Bogota"),
        ("d", "", 0, "UTC"),
        ("wrong", "", 0, "UTC"),
    ],
)
def test_a_time_without_a_zone_is_in_the_devices_else_the_routes_else_utc(
    device: str, zone: str, offset: int, name: str
) -> None:
    moment = findings(zone=zone).when("2025-12-31T12:00:00", device=device)
    assert moment is not None
    assert moment.ts == (1_767_182_400 - offset) * 10**9
    assert moment.flags == {"zone_assumed": name}


def test_a_unit_that_the_convention_fixes_is_not_told_by_size() -> None:
    moment = findings().when(45_000, unit=MILLISECONDS)
    assert moment is not None
    assert (moment.ts, moment.flags) == (NOW, {"clock": "45000"})


def test_a_time_that_cannot_be_read_is_a_problem_of_its_part() -> None:
    found = findings()
    assert found.when("soon", where="part 2: ") is None
    found.reading("d", {"a": 1})
    decoded = found.decoded()
    refused(decoded, Reason.BAD_TIME, "part 2: the time 'soon'")
    assert len(decoded.readings) == 1


def test_retained_values_without_a_time_are_left_out_and_states_are_not() -> None:
    found = findings(retained=True)
    found.reading("d", {"a": 1})
    found.reading("d", {"a": 2}, found.when(5))
    found.state("d", online=True)
    decoded = found.decoded()
    assert decoded.readings == []
    assert decoded.left_out == {Ignored.RETAINED_UNTIMED: 2}
    assert decoded.ignored is Ignored.PRESENCE


def test_one_metric_in_two_units_loses_the_second_alone() -> None:
    found = findings()
    found.reading("d", {"t": 1, "h": 2}, found.when(1767225600000), units={"t": "degC"})
    found.reading("d", {"t": 33, "h": 3}, found.when(1767225601000), units={"t": "degF"})
    found.reading("d", {"t": 2}, found.when(1767225602000), units={"t": "Cel"})
    decoded = found.decoded()
    assert [r.values for r in decoded.readings] == [{"t": 1.0, "h": 2.0}, {"h": 3.0}, {"t": 2.0}]
    assert decoded.units == {"d": {"t": "degC"}}
    refused(decoded, Reason.BAD_UNIT, "'t' is in 'degC' and in 'degF'")


@pytest.mark.parametrize("device", ["", "a/b", "x" * 257])
def test_a_device_id_that_cannot_be_one_loses_its_part_alone(device: str) -> None:
    found = findings()
    found.reading(device, {"a": 1})
    found.state(device, online=True)
    found.facts(device, {"name": "x"})
    found.reading("d", {"a": 1})
    decoded = found.decoded()
    assert [r.device for r in decoded.readings] == ["d"]
    assert decoded.states == []
    assert decoded.facts is None
    refused(decoded, Reason.BAD_DEVICE)


def test_the_text_that_a_number_stood_in_is_kept() -> None:
    found = findings()
    found.reading("d", {"a": "0123", "b": 5, "c": "x"})
    decoded = found.decoded()
    assert decoded.readings[0].values == {"a": 123.0, "b": 5.0, "c": "x"}
    assert decoded.spelled == {"d": {"a": "0123"}}


def test_why_there_is_nothing_is_said_by_what_was_found() -> None:
    nothing = findings()
    assert nothing.decoded().ignored is Ignored.EMPTY
    nothing.facts("d", {"model": "x"})
    assert nothing.decoded().ignored is Ignored.METADATA
    nothing.left_out(Ignored.NO_VALUE)
    assert nothing.decoded().ignored is Ignored.NO_VALUE
    nothing.ignore(Ignored.COMMAND)
    assert nothing.decoded().ignored is Ignored.COMMAND


def test_a_message_says_a_bounded_number_of_things_of_devices() -> None:
    found = findings(limits=Limits(points=5))
    for number in range(6):
        found.state(f"d{number}", online=True)
    for number in range(30_000):
        found.facts(f"d{number}", {"model": "x"})
    decoded = found.decoded()
    assert (len(decoded.states), len(decoded.facts or {})) == (5, 20_000)
    refused(decoded, Reason.TOO_LARGE, "more than 5 devices", "more than 20000 things")


def test_facts_and_units_can_be_written_whatever_a_message_holds() -> None:
    found = findings()
    found.facts("d", {"na\ud800me": "x\udfff", "none": None, "long": "y" * 2_000})
    found.facts("other", {"none": None})
    found.reading("d", {"a": 1, "b": 2}, units={"a": "m\ud800", "b": "u" * 2_000})
    decoded = found.decoded()
    assert decoded.facts == {"d": {"na?me": "x?", "long": "y" * 1_000}}
    assert decoded.units == {"d": {"a": "m?", "b": "u" * 64}}


def test_readings_whose_flags_say_different_things_stay_apart() -> None:
    found = findings()
    found.reading("d", {"a": 1}, flags={"quality": "bad"})
    found.reading("d", {"b": 2}, flags={"quality": "stale"})
    assert [(r.values, r.flags) for r in found.decoded().readings] == [
        ({"a": 1.0}, {"quality": "bad"}),
        ({"b": 2.0}, {"quality": "stale"}),
    ]
