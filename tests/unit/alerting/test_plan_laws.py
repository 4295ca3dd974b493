"""What receivers are told over the lives of many alerts, held against what is true of them."""

from collections import Counter
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from alerting.notify.configuration import Configuration, configure
from alerting.notify.document import Document, Kind
from alerting.notify.grouping import Facts, Group, Say
from alerting.notify.plan import Due, Plan

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
INTERVAL, REPEAT = 5 * MINUTE, 60 * MINUTE
SITES = ("north", "south")
CHAIN = {"steps": [{"receivers": ["ops"]}, {"after": "10m", "receivers": ["boss"]}]}
ROUTE = {
    "receiver": "ops",
    "group_by": ["site"],
    "group_wait": "30s",
    "group_interval": "5m",
    "repeat_interval": "1h",
    "routes": [{"matchers": ["site=south"], "chain": "night"}, {"matchers": ["site=north"]}],
}
INHIBITIONS = [{"source": ["kind=gateway"], "target": ["kind=sensor"], "equal": ["site"]}]


def document(kind: Kind, name: str, content: dict[str, Any], version: int = 1) -> Document:
    return Document(kind=kind, id=name, version=version, content=content, secrets={}, created_at=0, updated_at=0)


RECEIVERS = [document(Kind.RECEIVER, name, {}) for name in ("ops", "boss", "pager")]


def configuration(*silences: dict[str, Any], route: dict[str, Any] = ROUTE) -> Configuration:
    found = configure(
        [
            *RECEIVERS,
            document(Kind.CHAIN, "night", CHAIN),
            document(Kind.ROUTING, "routing", {"route": route, "inhibitions": INHIBITIONS}),
            *(document(Kind.SILENCE, f"s{number}", silence) for number, silence in enumerate(silences)),
        ],
        built_in=False,
    )
    assert found.problems == ()
    return found


class Receiver:
    """What somebody knows who believes what they are told."""

    def __init__(self) -> None:
        self.firing: dict[str, int] = {}
        self.ended: Counter[str] = Counter()
        self.says: list[tuple[int, str, Say]] = []


class Told(RuleBasedStateMachine):
    """Alerts come and go, are acknowledged and silenced; the plan is written down and built again now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000_000 * SECOND
        self.silences: list[dict[str, Any]] = []
        self.alerts: dict[str, Facts] = {}
        self.receivers = {name: Receiver() for name in ("ops", "boss", "pager")}
        self.ever_open: set[str] = set()
        self.shut: set[str] = set()
        self.written: dict[str, tuple[bytes, Due]] = {}
        self.plan = Plan(configuration(), {})

    @initialize()
    def begin(self) -> None:
        self.look()

    def names(self, *, firing: bool = True) -> list[str]:
        return [name for name, fact in self.alerts.items() if fact.firing is firing]

    def put(self, fact: Facts) -> None:
        self.alerts[fact.id] = fact
        self.plan.put(fact, self.now)
        self.look()

    def inhibited(self, fact: Facts) -> bool:
        return fact.labels["kind"] == "sensor" and any(
            other.firing and other.labels["kind"] == "gateway" and other.labels["site"] == fact.labels["site"]
            for other in self.alerts.values()
        )

    def silenced(self, fact: Facts) -> bool:
        return any(silence["matchers"] == [f"site={fact.labels['site']}"] for silence in self.silences)

    def wanted(self, fact: Facts) -> bool:
        known = fact.acknowledged
        return fact.firing and not known and not self.silenced(fact) and not self.inhibited(fact)

    def look(self) -> None:
        for name, fact in self.alerts.items():
            if self.wanted(fact):
                self.ever_open.add(name)
            else:
                self.shut.add(name)
        for _ in range(50):
            self.write_down()
            if (due := self.plan.next_due()) is None or due > self.now:
                return
            keys = self.plan.take_due(self.now, 100)
            for key, _, found in self.plan.look(keys, self.alerts, self.now):
                for say in found.says:
                    self.hear(key, say)
        raise AssertionError("a group is due again and again")

    def write_down(self) -> None:
        for key in self.plan.changed:
            if (group := self.plan.group(key)) is None:
                self.written.pop(key, None)
            else:
                self.written[key] = msgspec.json.encode(group), self.plan.due_of(key)
        self.plan.changed.clear()

    def hear(self, key: str, say: Say) -> None:
        receiver = self.receivers[say.receiver]
        assert say.alerts
        assert len(set(say.alerts)) == len(say.alerts)
        receiver.says.append((self.now, key, say))
        for name in say.alerts:
            fact = self.alerts[name]
            assert not receiver.ended[name], "told of again after its end"
            if fact.firing:
                assert not self.silenced(fact)
                assert not self.inhibited(fact)
                receiver.firing[name] = fact.level
            else:
                receiver.firing.pop(name, None)
                receiver.ended[name] += 1

    @precondition(lambda self: len(self.alerts) < 12)
    @rule(site=st.sampled_from(SITES), kind=st.sampled_from(["sensor"] * 5 + ["gateway"]))
    def fire(self, site: str, kind: str) -> None:
        name = f"a{len(self.alerts)}"
        self.put(Facts(name, {"alertname": "hot", "site": site, "kind": kind}, firing=True, level=1))

    @precondition(lambda self: self.names())
    @rule(data=st.data(), level=st.sampled_from([1, 2, 3]))
    def change_level(self, data: st.DataObject, level: int) -> None:
        fact = self.alerts[data.draw(st.sampled_from(self.names()))]
        self.put(msgspec.structs.replace(fact, level=level, acknowledged=fact.acknowledged and level <= fact.level))

    @precondition(lambda self: self.names())
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        fact = self.alerts[data.draw(st.sampled_from(self.names()))]
        self.put(msgspec.structs.replace(fact, acknowledged=not fact.acknowledged))

    @precondition(lambda self: self.names())
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        self.put(msgspec.structs.replace(self.alerts[data.draw(st.sampled_from(self.names()))], firing=False))

    @rule(site=st.sampled_from([*SITES, "east", "west", "centre"]))
    def silence(self, site: str) -> None:
        spec = {"matchers": [f"site={site}"], "ends_at": "2100-01-01T00:00:00Z", "comment": "c", "created_by": "ann"}
        if spec in self.silences:
            self.silences.remove(spec)
        else:
            self.silences.append(spec)
        self.plan.silence(configuration(*self.silences), self.now)
        self.look()

    @rule(seconds=st.sampled_from([1, 29, 31, 290, 600, 3600]))
    def wait(self, seconds: int) -> None:
        self.run_until(self.now + seconds * SECOND)

    @rule()
    def begin_anew(self) -> None:
        kept = {key: (msgspec.json.decode(group, type=Group), due) for key, (group, due) in self.written.items()}
        firing = [fact for fact in self.alerts.values() if fact.firing]
        self.plan = Plan(configuration(*self.silences), kept, firing)
        self.look()

    def run_until(self, end: int) -> None:
        while (due := self.plan.next_due()) is not None and due <= end:
            self.now = max(self.now, due)
            self.look()
        self.now = end

    @invariant()
    def nothing_is_kept_of_what_is_over(self) -> None:
        assert len(self.plan) <= len(self.alerts)

    def teardown(self) -> None:
        self.run_until(self.now + INTERVAL + MINUTE)
        ops, boss = self.receivers["ops"], self.receivers["boss"]
        for name, fact in self.alerts.items():
            if self.wanted(fact):
                assert ops.firing[name] == fact.level, "who has to know of an alert knows how it is"
            if not fact.firing:
                assert all(name not in found.firing for found in self.receivers.values()), "who was told hears its end"
                if name not in self.shut - self.ever_open and name not in ops.ended:
                    assert name in self.shut, "what was never muted is told, if only of its end"
            if name not in self.ever_open:
                listed = [say for _, _, say in ops.says + boss.says if name in say.alerts]
                assert all(fact.acknowledged or name in self.shut for _ in listed)
        self.intervals(ops)
        for _, _, say in boss.says:
            assert all(self.alerts[name].labels["site"] == "south" for name in say.alerts)
        self.run_until(self.now + REPEAT + INTERVAL)
        recent = [say for at, _, say in ops.says if at >= self.now - REPEAT - INTERVAL]
        for name, fact in self.alerts.items():
            if self.wanted(fact):
                assert any(name in say.alerts for say in recent), "it is said again in time"
                assert fact.labels["site"] == "north" or name in boss.firing, "the chain has come to its end"

    def intervals(self, receiver: Receiver) -> None:
        last: dict[str, int] = {}
        for at, key, say in receiver.says:
            group_known = self.plan.group(key) is not None
            if say.reason != "chain" and group_known and key in last:
                assert at - last[key] >= INTERVAL or self.born_anew(key, at)
            if say.reason != "chain":
                last[key] = at

    def born_anew(self, key: str, at: int) -> bool:
        group = self.plan.group(key)
        return group is not None and group.born > at - INTERVAL


Told.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestTold = Told.TestCase


def test_who_knew_of_an_alert_that_nobody_takes_care_of_any_more_is_told_again() -> None:
    plan = Plan(configuration(), {})
    plan.put(fired("a"), 0)
    assert len(one(plan, {"a": fired("a")}, MINUTE)) == 1
    known = fired("a", acknowledged=True, acknowledged_until=20 * MINUTE)
    plan.put(known, 2 * MINUTE)
    assert one(plan, {"a": known}, 7 * MINUTE) == []
    assert plan.next_due() == 20 * MINUTE
    [say] = one(plan, {"a": fired("a")}, 20 * MINUTE)
    assert (say.reason, say.alerts) == ("changed", ["a"])


def south(**more: Any) -> Facts:  # noqa: ANN401 - fields
    return Facts("a", {"site": "south", "kind": "sensor"}, firing=True, level=1, **more)


def test_a_chain_goes_on_until_somebody_takes_care_and_begins_anew_after() -> None:
    plan = Plan(configuration(), {})
    told = {"a": south()}
    plan.put(south(), 0)
    assert [say.receiver for say in one(plan, told, MINUTE)] == ["ops"]
    assert plan.next_due() == 11 * MINUTE
    [say] = one(plan, told, 11 * MINUTE)
    assert (say.receiver, say.reason) == ("boss", "chain")
    plan.put(south(acknowledged=True), 12 * MINUTE)
    assert one(plan, {"a": south(acknowledged=True)}, 300 * MINUTE) == []
    plan.put(south(), 400 * MINUTE)
    assert [say.receiver for say in one(plan, told, 400 * MINUTE)] == ["ops"]
    plan.put(over(south()), 402 * MINUTE)
    ends = one(plan, {"a": over(south())}, 410 * MINUTE)
    assert sorted(say.receiver for say in ends) == ["boss", "ops"]


def one(plan: Plan, facts: dict[str, Facts], now: int) -> list[Say]:
    keys = plan.take_due(now, 10_000)
    return [say for _, _, found in plan.look(keys, facts, now) for say in found.says]


def fired(name: str, **more: Any) -> Facts:  # noqa: ANN401 - fields
    return Facts(name, {"alertname": "hot", "site": "north", "kind": "sensor"}, firing=True, level=1, **more)


def over(fact: Facts) -> Facts:
    return msgspec.structs.replace(fact, firing=False)


def test_what_fires_and_ends_before_the_first_notification_is_told_as_ended() -> None:
    plan = Plan(configuration(), {})
    plan.put(fired("a"), 0)
    plan.put(over(fired("a")), 1)
    assert one(plan, {"a": over(fired("a"))}, 29 * SECOND) == []
    [say] = one(plan, {"a": over(fired("a"))}, 30 * SECOND)
    assert (say.receiver, say.reason, say.alerts) == ("ops", "changed", ["a"])
    assert len(plan) == 0


def test_what_ends_while_nobody_was_told_because_it_was_muted_is_not_told() -> None:
    plan = Plan(configuration(), {})
    plan.put(fired("a", shelved_until=90 * SECOND), 0)
    assert one(plan, {"a": fired("a", shelved_until=90 * SECOND)}, 31 * SECOND) == []
    assert plan.next_due() == 90 * SECOND
    ended = over(fired("a", shelved_until=90 * SECOND))
    plan.put(ended, 40 * SECOND)
    assert one(plan, {"a": ended}, 40 * SECOND) == []
    assert len(plan) == 0


def test_what_was_told_is_told_of_its_end_even_if_it_is_silenced_meanwhile() -> None:
    plan = Plan(configuration(), {})
    plan.put(fired("a"), 0)
    assert len(one(plan, {"a": fired("a")}, MINUTE)) == 1
    spec = {"matchers": ["site=north"], "ends_at": "2100-01-01T00:00:00Z", "comment": "c", "created_by": "ann"}
    plan.silence(configuration(spec), 2 * MINUTE)
    plan.put(over(fired("a")), 3 * MINUTE)
    [say] = one(plan, {"a": over(fired("a"))}, 10 * MINUTE)
    assert say.alerts == ["a"]


def test_a_rule_that_wants_nobody_told_inhibits_all_the_same() -> None:
    plan = Plan(configuration(), {})
    gateway = Facts("g", {"site": "north", "kind": "gateway"}, firing=True, level=1, notify=False)
    plan.put(gateway, 0)
    plan.put(fired("a"), 0)
    facts = {"a": fired("a"), "g": gateway}
    assert one(plan, facts, MINUTE) == []
    plan.put(over(gateway), 2 * MINUTE)
    assert [say.alerts for say in one(plan, facts, 3 * MINUTE)] == [["a"]]


def test_a_mass_of_alerts_in_one_group_is_told_in_parts_and_none_is_left_out() -> None:
    plan = Plan(configuration(), {})
    facts = {f"a{number}": fired(f"a{number}") for number in range(2500)}
    for fact in facts.values():
        plan.put(fact, 0)
    says = [say for _ in range(4) for say in one(plan, facts, MINUTE)]
    assert [(len(say.alerts), say.truncated) for say in says] == [(1000, 1500)] * 3
    assert {name for say in says for name in say.alerts} == facts.keys()


@given(st.integers(0, 5))
def test_another_route_to_the_same_receiver_tells_nothing_again(seconds: int) -> None:
    plan = Plan(configuration(), {})
    plan.put(fired("a"), 0)
    assert len(one(plan, {"a": fired("a")}, MINUTE)) == 1
    at = (60 + seconds) * SECOND
    plan.reconfigure(configuration(route=ROUTE | {"routes": [], "group_by": ["kind"]}), [fired("a")], at)
    assert one(plan, {"a": fired("a")}, at + 2 * MINUTE) == []
    plan.reconfigure(configuration(route=ROUTE | {"routes": [], "receiver": "pager"}), [fired("a")], at + 3 * MINUTE)
    assert [say.receiver for say in one(plan, {"a": fired("a")}, at + 5 * MINUTE)] == ["pager"]
    plan.put(over(fired("a")), at + 20 * MINUTE)
    ends = one(plan, {"a": over(fired("a"))}, at + 20 * MINUTE)
    assert sorted(say.receiver for say in ends) == ["ops", "pager"]
    assert len(plan) == 0
