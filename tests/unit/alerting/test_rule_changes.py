"""What changes of rules and of the registry do to open alerts, also where they were made while nobody ran."""

from collections.abc import Callable

import pytest

from alerting.life.alert import Ending
from alerting.rules.rule import Rule
from contracts.devices import DeviceRecord
from tests.unit.alerting.timeline import Act, Timeline, World, alert, at, away, every, reading, record, rule

Heard = Callable[[Act], Act]


@pytest.fixture(params=["present", "away"])
def heard(request: pytest.FixtureRequest) -> Heard:
    """Give whether evaluation is there while something changes."""
    return away if request.param == "away" else lambda act: act


def put(changed: Rule) -> Act:
    return lambda world: world.put(changed)


def registered(known: DeviceRecord) -> Act:
    return lambda world: world.register(known)


def firing_and(act: Act, reason: Ending | None, before: Rule | None = None) -> Timeline:
    """Have an alert that fires at 0, and at 10 a change that ends it, or does not where no reason is given."""
    line = Timeline(before or rule(), devices=[record(tags={"site": "north"})])
    line.push(at(0), reading(temperature=31.0))
    line.want(at(0), alert().firing())
    line.do(at(10), act)
    if reason is not None:
        line.want(at(10), alert().resolved(reason, at=10.0))
    return line


def test_disabling_a_rule_resolves_its_alerts(heard: Heard) -> None:
    firing_and(heard(put(rule(version=2, enabled=False))), Ending.RULE_DISABLED).check(until=20)


def test_deleting_a_rule_resolves_its_alerts(heard: Heard) -> None:
    firing_and(heard(lambda world: world.remove("hot")), Ending.RULE_DELETED).check(until=20)


@pytest.mark.parametrize(
    "changed",
    [
        rule(version=2, metric="humidity"),
        rule(version=2, kind="rate", metric="temperature", value=30.0),
        rule(version=2, selector={"devices": ["d2"]}),
        rule(version=2, selector={"tags": {"site": "south"}}),
    ],
)
def test_a_rule_that_looks_at_something_else_resolves_its_alerts(heard: Heard, changed: Rule) -> None:
    firing_and(heard(put(changed)), Ending.RULE_CHANGED).check(until=20)


def test_a_firing_alert_stays_when_its_rule_changes_and_the_next_reading_judges_it(heard: Heard) -> None:
    line = firing_and(heard(put(rule(version=2, value=40.0, name="hotter"))), None)
    line.push(at(20), reading(temperature=41.0))
    line.push(at(30), reading(temperature=39.0))
    line.want(at(30), alert().resolved(Ending.CLEARED))
    line.check()


def test_a_firing_alert_takes_its_rules_new_severity(heard: Heard) -> None:
    line = firing_and(heard(put(rule(version=2, severity="critical"))), None)
    line.want(at(10), alert().escalated(1, severity="critical"))
    line.do(at(20), heard(put(rule(version=3, severity="info"))))
    line.want(at(20), alert().deescalated(1, severity="info"))
    line.check()


def test_a_firing_alert_is_lowered_to_a_level_that_its_rule_still_has(heard: Heard) -> None:
    levels = [{"severity": "info", "value": 20.0}, {"severity": "critical", "value": 30.0}]
    line = firing_and(heard(put(rule(version=2, severity="info", value=20.0))), None, rule(levels=levels))
    line.want(at(10), alert().deescalated(1, severity="info"))
    line.push(at(20), reading(temperature=1.0))
    line.want(at(20), alert().resolved())
    line.check()


def test_a_pending_alert_begins_anew_if_its_condition_changed(heard: Heard) -> None:
    line = Timeline(rule(for_="20s"))
    line.push(every(5, 0, 40), reading(temperature=31.0))
    line.do(at(11), World.checkpoint)
    line.do(at(12), heard(put(rule(version=2, for_="20s", value=29.0))))
    line.want(at(0), alert().pending())
    line.want(at(12), alert().withdrawn())
    line.want(at(15), alert().pending())
    line.want(at(35), alert().firing(at=35.0))
    line.check()


def test_a_pending_alert_stays_if_only_words_changed(heard: Heard) -> None:
    line = Timeline(rule(for_="20s"))
    line.push(every(5, 0, 40), reading(temperature=31.0))
    line.do(at(12), heard(put(rule(version=2, for_="20s", name="warm", severity="info"))))
    line.want(at(0), alert().pending())
    line.want(at(20), alert().firing(rule="warm", rule_version=2, severity="info"))
    line.check()


def test_a_device_that_gets_other_tags_is_left_by_the_rules_that_asked_for_the_old_ones(heard: Heard) -> None:
    north = rule(selector={"tags": {"site": "north"}})
    line = firing_and(heard(registered(record(tags={"site": "south"}))), Ending.RULE_CHANGED, north)
    line.push(at(20), reading(temperature=31.0))
    line.do(at(30), heard(registered(record(tags={"site": "north"}))))
    line.push(at(40), reading(temperature=31.0))
    line.want(at(40), alert().firing())
    line.check()


def test_a_device_that_is_disabled_or_deleted_has_no_alerts(heard: Heard) -> None:
    firing_and(heard(registered(record(enabled=False))), Ending.DEVICE_GONE).check(until=20)
    firing_and(heard(lambda world: world.delete("d1")), Ending.DEVICE_GONE).check(until=20)


def test_what_a_disabled_device_still_sends_begins_nothing() -> None:
    line = firing_and(registered(record(enabled=False)), Ending.DEVICE_GONE)
    line.push(at(11), reading(temperature=31.0))
    line.check(until=20)


def test_a_device_changes_whose_rule_was_deleted() -> None:
    line = firing_and(lambda world: world.remove("hot"), Ending.RULE_DELETED)
    line.do(at(20), registered(record(tags={"site": "south"})))
    line.do(at(30), put(rule(version=2)))
    line.push(at(40), reading(temperature=31.0))
    line.want(at(40), alert().firing())
    line.check()


def test_outside_of_its_schedule_a_rule_has_no_alerts() -> None:
    # The beginning is a Wednesday, 06:13:20 UTC.
    hours = {"zone": "UTC", "times": [{"days": ["wed"], "from": "06:14", "to": "06:15"}]}
    line = Timeline(
        rule(schedule=hours, keep_firing_for="1h"),
        rule("gone", kind="absence", after="30s", metric="humidity", schedule=hours),
        devices=[record()],
    )
    line.push(every(10, 0, 140), reading(temperature=31.0))
    line.want(at(40), alert().firing(at=40.0))
    line.want(at(100), alert().resolved(Ending.OFF_SCHEDULE, at=100.0))
    line.want(at(40), alert("gone").firing(at=40.0))
    line.want(at(100), alert("gone").resolved(Ending.OFF_SCHEDULE, at=100.0))
    line.check(until=200)
