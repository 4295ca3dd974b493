"""Any story of readings, silence, crashes, redelivery, disorder and clocks, against a plain account of it."""

import copy
from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, run_state_machine_as_test
from hypothesis.stateful import rule as step

from contracts.readings import Reading, Value
from tests.unit.alerting.timeline import MAX_AGE_S, SECOND, T0, World, ns, record, rule

LEVELS = [(30.0, 25.0), (40.0, 35.0)]
"""Above which a level is breached, and down to which it is held."""


class Said(NamedTuple):
    """What a value says at a time: which level it breaches and holds; or silence, that it holds the first."""

    at: int
    level: int
    holds: int
    fresh: bool
    silence: bool = False


class Account:
    """What the rules of an alert's life say of one rule and device, told from the whole history of the alert.

    Times in seconds. `told` has each change: what, when, at which level, whether because of silence, and if damped.
    """

    def __init__(self, for_s: int, keep_s: int, policy: str, after_s: int, damped: tuple[int, int]) -> None:
        self.for_s, self.keep_s, self.policy, self.after_s = for_s, keep_s, policy, after_s
        self.damped_after, self.damped_within = damped
        self.told: list[tuple[str, int, int, bool, bool]] = []
        self.ends: list[int] = []
        self.registered = False
        self.forget()

    def forget(self) -> None:
        self.last = -1
        self.heard: int | None = None
        self.deaf = 0
        self.over()

    def over(self) -> None:
        self.state, self.level, self.fired, self.no_data, self.flapping = "", 0, 0, False, False
        self.history: list[Said] = []

    # What happens.

    def reading(self, ts: int, value: Value, received: int, now: int) -> None:
        newly = (self.heard is None or received > self.heard) and (self.registered or received > self.deaf)
        if newly:
            self.heard = received
        judged = ts > self.last and type(value) is float
        if judged:
            assert type(value) is float
            level = sum(value > breach for breach, _ in LEVELS)
            holds = max([number for number, (_, clear) in enumerate(LEVELS, 1) if value > clear], default=0)
            self.said(ts, level, holds, fresh=now - ts <= MAX_AGE_S)
        elif newly and self.no_data:
            self.said(max(ts, self.fired), 0, 0, fresh=False)
        self.last = max(self.last, ts)

    def tick(self, now: int, heard_until: int) -> None:
        while self.fired_by_clock(now):
            pass
        self.ended_by_clock(min(now, heard_until))
        self.silent(heard_until)

    def resolve(self, now: int) -> None:
        """Somebody resolves the alert."""
        if self.policy == "fire":
            if self.registered:
                self.heard = max(now, self.heard or 0)
            else:
                self.deaf = max(now, self.heard or 0)
        self.ended("operator", now)

    # What follows from it.

    def said(self, at: int, level: int, holds: int, *, fresh: bool) -> None:
        at = max([at, *(said.at for said in self.history if not said.silence)])
        self.ended_by_clock(at)
        if not self.state and (level == 0 or not fresh):
            return
        self.history.append(Said(at, level, holds, fresh))
        if not self.state:
            self.state, self.level, self.began = "pending", level, at
            if self.for_s > 0:
                self.tell("pending", at)
        if self.state == "pending":
            if level == 0:
                self.ended("cleared", at)
            elif fresh and (reached := self.reached(at)):
                self.fire(at, reached)
        else:
            self.settle(at, self.reached(at) if fresh else 0)

    def fired_by_clock(self, now: int) -> bool:
        spoken = [said for said in self.history if not said.silence]
        if not self.state or not spoken or now - spoken[-1].at > min(self.for_s / 2, 60, MAX_AGE_S):
            return False
        reached = self.reached(now)
        if not reached:
            return False
        began = self.bad_since(reached)
        assert began is not None
        at = max(began + self.for_s, spoken[-1].at)
        if self.state == "pending":
            self.fire(at, reached)
            return True
        if reached > self.level or (reached == self.level and self.no_data):
            self.stand(at, reached, no_data=False)
            return True
        return False

    def ended_by_clock(self, until: int) -> None:
        while self.state == "firing":
            over = [
                since + self.keep()
                for number in range(1, self.level + 1)
                if (since := self.good_since(number)) is not None and since + self.keep() <= until
            ]
            if not over:
                return
            self.settle(min(over), 0)

    def silent(self, heard_until: int) -> None:
        if self.policy == "hold" or self.heard is None or (not self.registered and self.heard <= self.deaf):
            return
        at = self.heard + self.after_s
        if at >= heard_until:
            return
        if self.policy == "resolve":
            if self.state:
                self.ended("no_data", at)
            return
        clearing = self.good_since(1) is not None
        self.history.append(Said(at, 0, 1, fresh=False, silence=True))
        if self.state == "firing":
            if clearing and not self.no_data:
                self.stand(at, self.level, no_data=True)
            return
        if not self.state:
            self.began = at
        self.no_data = True
        self.fire(at, 1)

    def bad_since(self, number: int) -> int | None:
        """Give the first fresh of the last values that all breach a level."""
        spoken = [said for said in reversed(self.history) if not said.silence]
        run = list(takewhile(lambda said: said.level >= number, spoken))
        return min((said.at for said in run if said.fresh), default=None)

    def good_since(self, number: int) -> int | None:
        """Give the first of the last values that all do not hold a level; silence holds the first level."""
        spoken = [said for said in reversed(self.history) if not said.silence or said.holds >= number]
        run = list(takewhile(lambda said: said.holds < number, spoken))
        return min((said.at for said in run), default=None)

    def reached(self, at: int) -> int:
        numbers = [n for n in (1, 2) if (since := self.bad_since(n)) is not None and at - since >= self.for_s]
        return max(numbers, default=0)

    def keep(self) -> int:
        return max(self.keep_s, self.damped_within) if self.flapping else self.keep_s

    def settle(self, at: int, reached: int) -> None:
        held = [
            number
            for number in range(1, self.level + 1)
            if (since := self.good_since(number)) is None or at - since < self.keep()
        ]
        level = max([reached, *held])
        no_data = self.no_data and reached < level
        if level == 0:
            self.ended("cleared", at)
        elif (level, no_data) != (self.level, self.no_data):
            self.stand(at, level, no_data=no_data)

    def fire(self, at: int, level: int) -> None:
        at = max(at, self.began)
        recent = [end for end in self.ends if at - end <= self.damped_within]
        self.flapping = 0 < self.damped_after <= len(recent)
        self.state, self.level, self.fired = "firing", level, at
        self.tell("firing", at)

    def stand(self, at: int, level: int, *, no_data: bool) -> None:
        what = "firing" if level == self.level else "escalated" if level > self.level else "deescalated"
        self.level, self.no_data = level, no_data
        self.tell(what, at)

    def ended(self, why: str, at: int) -> None:
        if self.state == "pending":
            self.tell("withdrawn", max(at, self.began))
        else:
            at = max(at, self.fired)
            self.tell(f"resolved: {why}", at)
            self.ends = [*self.ends, at][-self.damped_after :] if self.damped_after else []
        self.over()

    def tell(self, what: str, at: int) -> None:
        self.told.append((what, at, self.level, self.no_data, self.flapping))


VALUES = st.sampled_from([1.0, 26.0, 31.0, 31.0, 36.0, 41.0, 41.0, "text"])


class Life(RuleBasedStateMachine):
    """One rule and one device; what ingest receives waits in a stream until it is read."""

    @initialize(
        for_s=st.sampled_from([0, 0, 1, 30, 200]),
        keep_s=st.sampled_from([0, 0, 20, 120]),
        policy=st.sampled_from(["hold", "resolve", "fire", "fire"]),
        after_s=st.sampled_from([15, 90]),
        damped=st.sampled_from([(0, 1), (2, 60), (3, 900)]),
        registered=st.booleans(),
    )
    def begin(
        self, for_s: int, keep_s: int, policy: str, after_s: int, damped: tuple[int, int], *, registered: bool
    ) -> None:
        severities = ("warning", "critical")
        levels = [
            {"severity": severities[n], "value": value, "clear": clear} for n, (value, clear) in enumerate(LEVELS)
        ]
        watched = rule(
            levels=levels,
            for_=f"{for_s}s",
            keep_firing_for=f"{keep_s}s",
            no_data={"policy": policy, "after": f"{after_s}s"},
            flapping={"changes": damped[0] * 2, "within": f"{damped[1]}s"},
        )
        self.now = 1000
        self.waiting: list[Reading] = []
        self.world = World([watched], {"d1": record()} if registered else {}, MAX_AGE_S)
        self.account = Account(for_s, keep_s, policy, after_s, damped)
        self.account.registered = registered
        self.on_disk = copy.deepcopy(self.account)

    @step(
        moments=st.lists(st.tuples(st.sampled_from([0, 1, 5, 10, 30]), VALUES), min_size=1, max_size=6),
        ticking=st.booleans(),
    )
    def live(self, moments: list[tuple[int, Value]], *, ticking: bool) -> None:
        for gap, value in moments:
            self.now += gap
            self.receive(0, value, read=True)
            if ticking:
                self.tick(0)

    @step(
        moments=st.lists(st.tuples(st.sampled_from([1, 10, 30, 200]), VALUES), min_size=1, max_size=6),
        lag=st.sampled_from([20, 650]),
    )
    def catch_up(self, moments: list[tuple[int, Value]], lag: int) -> None:
        """Receive at once what was measured in a time that begins now, some time after its end."""
        ages = [sum(gap for gap, _ in moments[number + 1 :]) + lag for number in range(len(moments))]
        self.now += sum(gap for gap, _ in moments) + lag
        for age, (_, value) in zip(ages, moments, strict=True):
            self.receive(age, value, read=True)

    @step(then=VALUES)
    def fall_silent(self, then: Value) -> None:
        self.read(most=100)
        self.now += self.account.after_s + 1
        self.tick(0)
        self.receive(0, then, read=True)

    @step(
        age=st.sampled_from([0, 0, 0, 0, 1, 20, 700]),
        value=VALUES,
        read=st.booleans(),
    )
    def receive(self, age: int, value: Value, *, read: bool) -> None:
        ts = ns(self.now - age)
        self.waiting.append(Reading("d1", ts, ns(self.now), {"temperature": value}))
        if read:
            self.read(most=100)

    @step(seconds=st.sampled_from([1, 1, 10, 10, 30, 60, 100, 400, -5, -50]), ticking=st.booleans())
    def wait(self, seconds: int, *, ticking: bool) -> None:
        self.now += seconds
        if ticking:
            self.tick(0)

    @step(most=st.integers(1, 3))
    def read(self, most: int) -> None:
        self.world.now = ns(self.now)
        for reading in self.waiting[:most]:
            self.world.send(reading)
            self._account(reading)
        del self.waiting[:most]

    @step(seconds=st.sampled_from([0, 1, 20]))
    def tick(self, seconds: int) -> None:
        self.now += seconds
        heard_until = min([self.now, *(_s(reading.received) for reading in self.waiting)])
        self.world.now, self.world.heard_until = ns(self.now), ns(heard_until)
        self.world.tick()
        told = len(self.account.told)
        self.account.tick(self.now, heard_until)
        self._committed(told)
        if self.world.shard.watched == 0 and self.account.last >= 0:
            assert not self.account.state
            assert self.account.last < self.now - MAX_AGE_S
            self.account.forget()

    @step()
    def checkpoint(self) -> None:
        self.world.checkpoint()
        self.on_disk = copy.deepcopy(self.account)

    @step()
    def redeliver(self) -> None:
        self.world.now = ns(self.now)
        again = self.world.log[self.world.acknowledged :]
        for reading in again:
            assert isinstance(reading, Reading)
            self.world.send(reading)
            self._account(reading)

    @step(seconds=st.sampled_from([0, 0, 30]))
    def crash(self, seconds: int) -> None:
        self.now += seconds
        self.world.now = ns(self.now)
        self.account = copy.deepcopy(self.on_disk)
        self.world.start()
        for reading in self.world.log[self.world.acknowledged :]:
            assert isinstance(reading, Reading)
            self._account(reading)

    @step(really=st.sampled_from([False, False, True]))
    def resolve(self, *, really: bool) -> None:
        if self.account.state and really:
            self.world.now = ns(self.now)
            told = len(self.account.told)
            self.world.resolve()
            self.account.resolve(self.now)
            self._committed(told)

    @invariant()
    def the_disk_tells_what_the_account_tells(self) -> None:
        assert list(self._told()) == self.account.told

    def _told(self) -> Iterator[tuple[str, int, int, bool, bool]]:
        for change in self.world.disk.changes:
            alert = change.alert
            what = change.what + (f": {alert.reason}" if alert.reason else "")
            yield what, _s(change.at), alert.level, alert.no_data, alert.flapping

    def _account(self, reading: Reading) -> None:
        told = len(self.account.told)
        self.account.reading(_s(reading.ts), reading.values["temperature"], _s(reading.received), self.now)
        self._committed(told)

    def _committed(self, told: int) -> None:
        """Note that what changed an alert is on disk at once."""
        if len(self.account.told) > told:
            self.on_disk = copy.deepcopy(self.account)


def _s(time: int) -> int:
    return (time - T0) // SECOND


@pytest.mark.parametrize(
    ("examples", "steps"), [(150, 30), pytest.param(5_000, 60, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])]
)
def test_whatever_happens_the_alerts_tell_the_plain_story(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
