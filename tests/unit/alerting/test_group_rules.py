"""Rules about groups of devices: what they count, and the life of their alerts."""

from collections.abc import Iterable
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.evaluation.groups import Alerting, Groups
from alerting.life.alert import Alert, Change, Ending, State, What
from alerting.rules.describing import describe
from alerting.rules.rule import Rule
from contracts.devices import DeviceRecord
from tests.unit.alerting.timeline import SECOND, T0, record, rule

OF = rule("silent", kind="absence", after="30s")


def outage(**content: Any) -> Rule:  # noqa: ANN401 - a rule as JSON has it
    """Build a group rule on the rule `silent`: more than two devices where nothing else is said."""
    fields: dict[str, Any] = {"kind": "group", "of": "silent", "value": 2.0} | content
    return rule("outage", **fields)


class World:
    """Group rules that live, with their disk; `silent` are the devices that have an alert."""

    def __init__(self, *rules: Rule, devices: Iterable[DeviceRecord] = ()) -> None:
        self.rules = {one.id: one for one in (OF, *rules)}
        self.records = {one.id: one for one in devices}
        self.silent: set[str] = set()
        self.pending: set[str] = set()
        self.now = T0
        self.rows: dict[str, bytes] = {}
        self.open: dict[str, Alert] = {}
        self.changes: list[Change] = []
        self.errors: list[str] = []
        self._ids = count(1)
        self.start()

    def start(self) -> None:
        """Begin with what is on disk."""
        self.groups = Groups(self.records.get, 600 * SECOND, lambda: f"g{next(self._ids)}", describe)
        self.groups.restore(self.rules.values(), self.rows.items(), self.open.values(), self.now)
        self._complete()
        self._write()

    def seconds(self, number: int = 1) -> list[tuple[What, str, int]]:
        """Let time pass; gives what happened, to which group, at which level."""
        before = len(self.changes)
        for _ in range(number):
            self.now += SECOND
            alerting = {"silent": Alerting(set(self.silent), set(self.pending))} if self.groups.wanted else {}
            self.groups.tick(alerting, self.now)
            self._write()
        return [(one.what, one.alert.subject.group, one.alert.level) for one in self.changes[before:]]

    def put(self, one: Rule) -> None:
        self.rules[one.id] = one
        self.groups.put(one, self.now)
        self._complete()
        self._write()

    def remove(self, rule_id: str) -> None:
        del self.rules[rule_id]
        self.groups.remove(rule_id, self.now)
        self._write()

    def change(self, one: DeviceRecord) -> None:
        self.records[one.id] = one
        self.groups.members.changed(one.id)

    def _complete(self) -> None:
        for _ in self.groups.members.complete(list(self.records)):
            pass

    def _write(self) -> None:
        writes = self.groups.take_all()
        for change in writes.changes:
            assert change.alert.subject.device == ""
            if change.alert.state in (State.PENDING, State.FIRING):
                self.open[change.alert.id] = change.alert
            else:
                del self.open[change.alert.id]
        self.changes += writes.changes
        self.errors += [error.message for error in writes.errors]
        for key in writes.forgotten:
            self.rows.pop(key, None)
        self.rows |= writes.devices


def site(name: str, devices: int, *, above: str = "plant") -> list[DeviceRecord]:
    return [record(f"{name}-{number}", groups=[name, above]) for number in range(devices)]


def test_an_outage_of_a_group_is_one_alert_and_ends_when_devices_are_back() -> None:
    world = World(outage(selector={"groups": ["north"]}, clear=1.0), devices=site("north", 5) + site("south", 5))
    world.silent = {"north-0", "north-1", "south-0", "south-1", "south-2"}
    assert world.seconds() == []
    world.silent.add("north-2")
    assert world.seconds(3) == [(What.FIRING, "*", 1)]
    [alert] = world.open.values()
    assert (alert.value, alert.labels["group"], alert.labels["alertname"]) == (3.0, "*", "outage")
    assert world.changes[0].evidence == {"alerting": (world.changes[0].at, 3.0), "devices": (world.changes[0].at, 5.0)}
    world.silent.remove("north-0")
    assert world.seconds() == [], "two are still more than the one at which it ends"
    world.silent.remove("north-1")
    assert world.seconds() == [(What.RESOLVED, "*", 1)]


def test_each_group_has_an_alert_of_its_own_where_the_rule_says_so() -> None:
    rules = outage(
        selector={"groups": ["north", "south", "plant"]},
        by="group",
        measure="share",
        operator="ge",
        value=None,
        levels=[{"severity": "warning", "value": 0.5}, {"severity": "critical", "value": 1.0}],
    )
    world = World(rules, devices=site("north", 2) + site("south", 4))
    world.silent = {"north-0"}
    assert world.seconds() == [(What.FIRING, "north", 1)]
    world.silent |= {"north-1", "south-0"}
    assert world.seconds() == [(What.ESCALATED, "north", 2), (What.FIRING, "plant", 1)]
    world.silent = set()
    assert sorted(world.seconds()) == [(What.RESOLVED, "north", 2), (What.RESOLVED, "plant", 1)]


def test_it_has_to_last_for_as_long_as_the_rule_says_through_any_restart() -> None:
    world = World(outage(for_="5s", keep_firing_for="4s"), devices=site("north", 5))
    world.silent = {"north-0", "north-1", "north-2"}
    assert world.seconds() == [(What.PENDING, "*", 1)]
    for _ in range(4):
        world.start()
        assert world.seconds() == []
    world.start()
    assert world.seconds() == [(What.FIRING, "*", 1)]
    world.silent = set()
    for _ in range(4):
        assert world.seconds() == []
        world.start()
    assert world.seconds() == [(What.RESOLVED, "*", 1)]
    assert len({change.alert.id for change in world.changes}) == 1


def test_pending_alerts_count_where_the_rule_says_so() -> None:
    other = rule("firing", kind="group", of="silent", value=2.0)
    world = World(outage(state="pending"), other, devices=site("north", 5))
    world.silent, world.pending = {"north-0"}, {"north-1", "north-2"}
    world.seconds()
    assert [change.alert.rule_id for change in world.changes] == ["outage"]


def test_of_no_devices_there_is_nothing_to_say() -> None:
    world = World(outage(operator="lt", value=1.0, selector={"groups": ["north"]}))
    assert world.seconds() == [], "none of none is not too few"
    world.change(record("north-0", groups=["north"]))
    assert world.seconds() == [(What.FIRING, "*", 1)]
    world.change(record("north-0", groups=["north"], enabled=False))
    assert world.seconds() == [(What.RESOLVED, "*", 1)]
    assert world.changes[-1].alert.reason is Ending.DEVICE_GONE


def test_devices_count_where_they_are_now() -> None:
    world = World(outage(selector={"groups": ["north"]}), devices=site("north", 3) + site("south", 1))
    world.silent = {"north-0", "north-1", "south-0"}
    assert world.seconds() == []
    world.change(record("south-0", groups=["north"]))
    assert world.seconds() == [(What.FIRING, "*", 1)]
    del world.records["north-0"]
    world.groups.members.changed("north-0")
    assert world.seconds() == [(What.RESOLVED, "*", 1)]


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda world: world.remove("outage"), Ending.RULE_DELETED),
        (lambda world: world.put(outage(enabled=False)), Ending.RULE_DISABLED),
        (lambda world: world.put(outage(selector={"groups": ["north"]}, by="group")), Ending.RULE_CHANGED),
        (lambda world: world.put(rule("silent", kind="absence", after="30s", enabled=False)), Ending.RULE_DISABLED),
        (lambda world: world.remove("silent"), Ending.RULE_DELETED),
        (lambda world: world.put(outage(schedule={"months": ["jan"]})), None),
    ],
)
def test_an_alert_ends_with_what_it_rests_on(act: object, reason: Ending | None) -> None:
    world = World(outage(), devices=site("north", 3))
    world.silent = {"north-0", "north-1", "north-2"}
    assert world.seconds() == [(What.FIRING, "*", 1)]
    act(world)  # type: ignore[operator]  # one of those above
    world.seconds()
    ended = next(change.alert for change in world.changes if change.what is What.RESOLVED)
    assert ended.reason is (reason or Ending.OFF_SCHEDULE)


@pytest.mark.parametrize(
    ("of", "says"),
    [("gone", "is not there"), ("outage", "looks at groups, and has no alerts of devices")],
)
def test_a_rule_that_counts_the_alerts_of_none_says_so_on_itself_once(of: str, says: str) -> None:
    world = World(outage(of=of) if of != "gone" else rule("outage", kind="group", of=of, value=1.0))
    world.seconds(5)
    assert world.errors == [f"the rule {of!r}, whose alerts it counts, {says}"]
    world.put(rule("gone", kind="absence", after="30s"))
    world.seconds(5)
    assert len(world.errors) == 1


def test_what_an_operator_has_resolved_begins_again_when_the_number_is_another() -> None:
    world = World(outage(), devices=site("north", 5))
    world.silent = {"north-0", "north-1", "north-2"}
    world.seconds()
    [alert_id] = world.open
    assert world.groups.end(alert_id, world.now)
    assert world.seconds(3) == [(What.RESOLVED, "*", 1)]
    world.silent.add("north-3")
    assert world.seconds() == [(What.FIRING, "*", 1)]


def test_groups_of_which_nothing_is_known_any_more_leave_no_row() -> None:
    world = World(outage(flapping={"changes": 0}), devices=site("north", 3))
    world.silent = {"north-0", "north-1", "north-2"}
    world.seconds()
    assert list(world.rows) == ["#*"]
    world.remove("outage")
    world.start()
    assert world.rows == {}


_DEVICES, _GROUPS = ("a", "b", "c", "d"), ("north", "south")
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["silent", "heard", "moved", "gone", "put", "restart"]),
        st.sampled_from(_DEVICES),
        st.sets(st.sampled_from(_GROUPS)),
    ),
    max_size=25,
)


@given(steps=_STEPS)
def test_each_group_stands_at_the_level_of_as_many_devices_as_there_are_whatever_changes(
    steps: list[tuple[str, str, set[str]]],
) -> None:
    levels = [{"severity": name, "value": number} for number, name in enumerate(("info", "warning", "critical"), 1)]
    by_group = outage(selector={"groups": list(_GROUPS)}, by="group", operator="ge", value=None, levels=levels)
    of_all = rule("all", kind="group", of="silent", value=1.0, operator="ge")
    world = World(by_group, of_all)
    for what, device, groups in steps:
        if what == "silent":
            world.silent.add(device)
        elif what == "heard":
            world.silent.discard(device)
        elif what == "moved":
            world.change(record(device, groups=sorted(groups)))
        elif what == "gone":
            world.records.pop(device, None)
            world.groups.members.changed(device)
        elif what == "put":
            world.put(of_all)
        else:
            world.start()
        world.seconds()
        silent = [one for one in world.records.values() if one.id in world.silent]
        wanted = {group: min(3, sum(group in one.groups for one in silent)) for group in _GROUPS} | {
            "*": min(1, len(silent))
        }
        stands = {one.subject.group: one.level for one in world.open.values()}
        assert stands == {group: level for group, level in wanted.items() if level}
