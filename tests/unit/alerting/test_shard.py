"""A partition's evaluation beside the life of alerts: what it judges, keeps, hands over, and what it survives."""

from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest

from alerting.evaluation.memory import decode_memory
from alerting.evaluation.shard import Shard
from alerting.evaluation.writes import Writes
from alerting.judges.threshold import Limits, Threshold
from alerting.life.alert import State
from alerting.rules.describing import describe
from alerting.rules.rule import Rule
from alerting.rules.spec import parse_spec
from contracts.derived import Window
from contracts.devices import DeviceRecord
from contracts.readings import Reading, Value
from tests.unit.alerting.timeline import Timeline, alert, at, ns, reading, record, rule

S = 1_000_000_000


def shard(*rules: Rule, records: Mapping[str, DeviceRecord] | None = None) -> Shard:
    ids = count(1)
    made = Shard(
        0, (records or {}).get, 600 * S, lambda: f"a{next(ids)}", describe, devices=lambda: list(records or {})
    )
    made.restore(rules, [], [], ns(0))
    return made


def sent(device: str, seconds: float, **values: Value) -> Reading:
    return Reading(device, ns(seconds), ns(seconds), values)


def condition(text: str, **content: Any) -> Rule:  # noqa: ANN401 - a rule as JSON has it
    return rule(kind="condition", condition=text, **content)


def test_several_metrics_of_a_reading_are_judged_once_and_together() -> None:
    line = Timeline(condition("temperature > 30.0 && humidity > 60.0"))
    line.push(at(0), reading(temperature=31.0))
    line.push(at(1), reading(temperature=20.0, humidity=70.0))
    line.push(at(2), reading(temperature=31.0))
    line.push(at(3), reading(humidity=50.0, temperature=32.0))
    line.want(at(2), alert().firing(at=2.0))
    line.want(at(3), alert().resolved(at=3.0, value=None))
    world = line.check()
    assert world.disk.changes[0].evidence == {"temperature": (ns(2), 31.0), "humidity": (ns(1), 70.0)}
    assert (world.tally.evaluated, world.tally.says_nothing) == (3, 1)


def test_what_is_late_for_one_metric_may_be_new_for_another() -> None:
    line = Timeline(condition("temperature > 30.0 && humidity > 60.0"))
    line.push(at(0), reading(ts=10, temperature=31.0))
    line.push(at(1), reading(ts=5, temperature=1.0, humidity=70.0))
    line.push(at(2), reading(ts=4, temperature=1.0, humidity=1.0))
    line.want(at(1), alert().firing(at=10.0))
    line.check()


def window(start: float, end: float, mean: float) -> Window:
    return Window("d1", "default", "temperature", "1m", ns(start), ns(end), 1, mean, mean, 0.0, mean, mean, mean)


def test_windows_are_judged_at_their_end_and_late_ones_not_at_all() -> None:
    line = Timeline(rule(kind="window", metric="temperature", function="mean", tier="1m", value=30.0))
    line.push(at(61), window(0, 60, 31.0))
    line.push(at(70), window(0, 60, 20.0))
    line.push(at(130), window(60, 120, 20.0))
    line.push(at(900), window(120, 180, 99.0))
    line.want(at(61), alert().firing(at=60.0, value=31.0, evidence={"temperature": (ns(60), 31.0)}))
    line.want(at(130), alert().resolved(at=120.0, value=20.0))
    assert (line.check().tally.late, line.check().tally.stale) == (1, 1)


def test_a_rule_that_fails_says_so_and_the_others_go_on() -> None:
    broken = condition("temperature + 1.0", name="broken")
    made = shard(rule("fine"), broken)
    for second in range(3):
        made.take(sent("d1", second, temperature=31.0), ns(second))
    writes = made.take_urgent()
    assert [change.alert.rule_id for change in writes.changes] == ["fine"]
    assert [(error.rule_id, error.device, error.count) for error in writes.errors] == [("hot", "d1", 3)]
    assert made.take_all().errors == []


def test_a_fault_of_ours_comes_out_once_all_other_rules_have_judged() -> None:
    unable = Threshold("temperature", Limits("gt", [("a", "a")]))  # type: ignore[list-item]  # that is the fault
    spec = parse_spec({"name": "bad", "metric": "temperature", "value": 1.0})
    faulty = Rule("bad", 1, spec, judge=unable, levels=[("warning", 1.0)])
    made = shard(faulty, rule("fine"))
    with pytest.raises(TypeError):
        made.take(sent("d1", 0, temperature=31.0), ns(0))
    assert [change.alert.rule_id for change in made.take_urgent().changes] == ["fine"]
    made.tick(ns(1), ns(1))


def test_an_alert_whose_text_cannot_be_made_is_there_all_the_same() -> None:
    made = shard(rule(annotations={"summary": "{{ 1 / 0 }}"}))
    made.take(sent("d1", 0, temperature=31.0), ns(0))
    writes = made.take_urgent()
    assert [change.alert.state for change in writes.changes] == [State.FIRING]
    assert "summary" in writes.errors[0].message


def test_only_the_rows_of_devices_whose_alerts_changed_are_urgent() -> None:
    made = shard(rule())
    made.take(sent("d1", 0, temperature=1.0), ns(0))
    assert (made.urgent, made.dirty) == (False, True)
    made.take(sent("d2", 0, temperature=31.0), ns(0))
    assert (made.urgent, made.dirty) == (True, True)
    assert list(made.take_urgent().devices) == ["d2"]
    assert list(made.take_all().devices) == ["d1"]
    assert (made.urgent, made.dirty) == (False, False)


def test_nothing_is_kept_of_a_device_that_no_rule_looks_at() -> None:
    made = shard(rule(selector={"devices": ["d1"]}))
    made.take(sent("d2", 0, temperature=31.0), ns(0))
    assert (made.dirty, made.watched) == (False, 0)


def test_long_texts_are_cut() -> None:
    made = shard(rule())
    made.take(sent("d1", 0, temperature="x" * 5000), ns(0))
    [row] = made.take_all().devices.values()
    assert decode_memory(row).last == {"temperature": (ns(0), "x" * 1025)}


def kept(*rules: Rule, values: Mapping[str, Value], silent_s: float, registered: bool = False) -> tuple[Shard, Writes]:
    """Give what is left of a device some time after its only reading."""
    made = shard(*rules, records={"d1": record()} if registered else None)
    made.take(Reading("d1", ns(0), ns(0), dict(values)), ns(0))
    made.take_all()
    for _ in range(3):
        made.tick(ns(silent_s), ns(silent_s))
    return made, made.take_all()


def test_a_device_that_is_not_heard_for_long_is_forgotten() -> None:
    made, writes = kept(rule(), values={"temperature": 1.0}, silent_s=601)
    assert (made.watched, writes.forgotten, writes.devices) == (0, ["d1"], {})
    made, writes = kept(rule(), values={"temperature": 1.0}, silent_s=599)
    assert (made.watched, writes.forgotten) == (1, [])


@pytest.mark.parametrize(
    ("what", "registered"),
    [
        (rule(value=0.0), False),
        (rule(kind="deviation", metric="temperature", value=3.0), False),
        (condition("temperature > 30.0 && humidity > 60.0"), False),
        (rule(kind="absence", after="1h"), True),
        (rule(no_data={"policy": "fire", "after": "1h"}), False),
    ],
)
def test_a_device_of_which_something_matters_is_not_forgotten(what: Rule, registered: bool) -> None:  # noqa: FBT001 - a case
    made, writes = kept(what, values={"temperature": 1.0}, silent_s=1000, registered=registered)
    assert (made.watched, writes.forgotten) == (1, [])


def test_a_device_that_comes_back_before_its_row_was_deleted_keeps_it() -> None:
    made = shard(rule())
    made.take(sent("d1", 0, temperature=1.0), ns(0))
    made.take_all()
    made.tick(ns(601), ns(601))
    made.take(sent("d1", 602, temperature=1.0), ns(602))
    writes = made.take_all()
    assert (list(writes.devices), writes.forgotten) == (["d1"], [])


def test_a_row_that_cannot_be_read_is_counted_and_its_alert_lives_on() -> None:
    made = shard(rule())
    made.take(sent("d1", 0, temperature=31.0), ns(0))
    [change] = made.take_urgent().changes
    made.restore([rule()], [("d1", b"\xc1")], [change.alert], ns(1))
    assert made.take_tally().unreadable == 1
    made.take(sent("d1", 2, temperature=1.0), ns(2))
    assert [one.alert.id for one in made.take_urgent().changes] == [change.alert.id]


def test_an_alert_of_an_earlier_version_which_kept_no_tracks_goes_on() -> None:
    pending = rule(for_="30s")
    made = shard(pending)
    made.take(sent("d1", 0, temperature=31.0), ns(0))
    [change] = made.take_urgent().changes
    made.restore([pending], [], [change.alert], ns(25))
    made.take(sent("d1", 25, temperature=31.0), ns(25))
    made.tick(ns(30), ns(30))
    assert [one.alert.state for one in made.take_urgent().changes] == [State.FIRING]


def test_rules_are_found_by_what_their_selectors_name() -> None:
    tags = {"site": "north", "floor": "2"}
    known = record(profile="pump", tags=tags, groups=["hall", "plant"])
    selectors: list[dict[str, Any]] = [
        {},
        {"devices": ["d1", "d7"]},
        {"profile": "pump"},
        {"groups": ["plant", "hall"]},
        {"tags": {"site": ["south", "north"], "floor": "2"}},
        {"profile": "pump", "tags": {"floor": "2"}, "groups": ["hall"], "devices": ["d1"]},
    ]
    others: list[dict[str, Any]] = [
        {"devices": ["d7"]},
        {"profile": "fan"},
        {"groups": ["yard"]},
        {"tags": {"site": "north", "floor": "3"}},
        {"profile": "fan", "devices": ["d1"]},
    ]
    rules = [rule(f"r{number}", selector=selector) for number, selector in enumerate(selectors + others)]
    made = shard(*rules, records={"d1": known})
    made.take(sent("d1", 0, temperature=31.0), ns(0))
    fired = sorted(change.alert.rule_id for change in made.take_urgent().changes)
    assert fired == [f"r{number}" for number in range(len(selectors))]
