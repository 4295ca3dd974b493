"""For how long a device may be silent, as rules of every kind say it."""

import pytest
from pydantic import ValidationError

from alerting.calendars import Calendar
from alerting.judges.build import build
from alerting.rules.spec import parse_spec
from contracts.devices import DeviceRecord
from contracts.durations import SECOND

_RULE: dict[str, object] = {"name": "silent", "kind": "absence"}
_DEVICE = DeviceRecord(1, "kiln-3", enabled=True, profile="kiln", interval=20.0, computed={"load": "heat / 2.0"})
_UNKNOWN = DeviceRecord(1, "kiln-4", enabled=True, profile="kiln")


def silence(content: dict[str, object], record: DeviceRecord | None) -> list[int] | None:
    rule = build("r1", 1, parse_spec(content))
    return None if rule.silence_after is None else rule.silence_after(record)


def test_an_absence_counts_in_the_intervals_that_the_registry_expects() -> None:
    assert silence(_RULE, _DEVICE) == [60 * SECOND]
    assert silence(_RULE | {"intervals": 1.5}, _DEVICE) == [30 * SECOND]


def test_a_device_whose_interval_nobody_knows_is_not_absent_by_intervals() -> None:
    assert silence(_RULE, _UNKNOWN) == []
    assert silence(_RULE, None) == []
    assert silence(_RULE | {"after": "5m"}, _UNKNOWN) == [300 * SECOND]
    assert silence(_RULE | {"after": "5m"}, None) == [300 * SECOND]


def test_levels_of_an_absence_are_reached_one_after_the_other() -> None:
    levels = [{"severity": "warning", "after": "1m"}, {"severity": "critical", "after": "1h"}]
    rule = build("r1", 1, parse_spec(_RULE | {"levels": levels}))
    assert rule.silence_after is not None
    assert rule.silence_after(_DEVICE) == [60 * SECOND, 3600 * SECOND]
    assert rule.severities == ["warning", "critical"]


def test_a_metric_that_is_computed_is_never_called_absent() -> None:
    assert silence(_RULE | {"metric": "load"}, _DEVICE) == []
    assert silence(_RULE | {"metric": "heat"}, _DEVICE) == [60 * SECOND]


def test_silence_says_nothing_to_other_rules_unless_their_no_data_policy_wants_it() -> None:
    rule: dict[str, object] = {"name": "hot", "metric": "heat", "value": 900}
    assert silence(rule, _DEVICE) is None
    assert silence(rule | {"no_data": {"policy": "resolve", "after": "10m"}}, _DEVICE) == [600 * SECOND]
    assert silence(rule | {"no_data": {"policy": "fire"}}, _DEVICE) == [60 * SECOND]
    assert silence(rule | {"no_data": {"policy": "fire"}}, _UNKNOWN) == []


def test_a_rule_takes_its_schedule_with_the_calendars_that_this_names() -> None:
    spec = parse_spec(_RULE | {"schedule": {"not_on": ["feasts"]}})
    with pytest.raises(ValueError, match="there is no calendar 'feasts'"):
        build("r1", 1, spec)
    rule = build("r1", 1, spec, {"feasts": Calendar(dates=["1970-01-02"])})
    assert rule.active is not None
    assert rule.active(0)
    assert not rule.active(86_400 * SECOND)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"after": "1m", "levels": [{"severity": "info", "after": "1m"}]}, "either after or levels"),
        ({"after": "0s"}, "more than 0s"),
        ({"for": "1m"}, "no `for`"),
        ({"no_data": {"policy": "fire"}}, "no `no_data`"),
        ({"levels": [{"severity": "info", "after": "5m"}, {"severity": "warning", "after": "5m"}]}, "longer than"),
        ({"intervals": 0}, "greater than 0"),
    ],
)
def test_an_absence_that_contradicts_itself_is_refused(content: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        parse_spec(_RULE | content)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"by": "group", "value": 3}, "a selector with groups"),
        ({"measure": "share", "value": 50}, "from 0 to 1"),
        ({"value": 3, "no_data": {"policy": "resolve"}}, "no `no_data`"),
    ],
)
def test_a_group_rule_that_cannot_be_is_refused(content: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        parse_spec({"name": "many", "kind": "group", "of": "r1"} | content)
