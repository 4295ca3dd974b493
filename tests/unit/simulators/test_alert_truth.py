"""Alerts against events, with misses and inventions that are planted."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.models.model import Event
from simulators.truth.alerts import Alert, Breach, Verdict, judge

SECOND = 1_000_000_000
NOW = 1_795_000_000 * SECOND


def event(device: int, start: float, length: float = 5) -> Event:
    begun = NOW + round(start * SECOND)
    return Event("overheat", device, "temperature", begun, begun + round(length * SECOND), 40.0)


def alert(
    device: int, start: float, fired: float | None = None, resolved: float | None = None, name: str = ""
) -> Alert:
    at = NOW + round((start + 0.1 if fired is None else fired) * SECOND)
    ended = None if resolved is None else NOW + round(resolved * SECOND)
    return Alert(name or f"a-{device}-{start}", f"env-{device}", NOW + round(start * SECOND), at, ended)


def seen(event: Event) -> Breach | None:
    """Say that readings show an event from half a second on, which were published at once."""
    return Breach(event.start + SECOND // 2, event.end - SECOND // 2, event.start + SECOND // 2)


def judged(
    events: list[Event],
    alerts: list[Alert],
    breach: Callable[[Event], Breach | None] = seen,
    lasting: int = 0,
    slack: int = SECOND,
) -> Verdict:
    return judge(events, alerts, breach, lambda number: f"env-{number}", lasting=lasting, slack=slack)


def test_an_event_with_its_alert_is_found_and_the_delay_counts_from_publishing() -> None:
    verdict = judged([event(1, 10)], [alert(1, 10.5, fired=10.75)])
    assert (verdict.recall, verdict.precision, verdict.truth) == (1, 1, 1)
    assert verdict.delays == [0.25]
    assert verdict.told() == []


def test_a_planted_miss_and_a_planted_invention_are_named() -> None:
    events = [event(1, 10), event(2, 10), event(1, 60), event(3, 30)]
    alerts = [alert(1, 10.5, resolved=15), alert(1, 60.5), alert(3, 30.5), alert(2, 300, name="made-up")]
    verdict = judged(events, alerts)
    assert verdict.missed == [event(2, 10)]
    assert [one.id for one in verdict.spurious] == ["made-up"]
    assert (verdict.recall, verdict.precision) == (0.75, 0.75)
    assert verdict.told() == [
        "missed: overheat of env-2 from 2026-11-18T11:06:50.000000000Z to 2026-11-18T11:06:55.000000000Z",
        "spurious: alert made-up of env-2 from 2026-11-18T11:11:40.000000000Z",
    ]


def test_another_devices_alert_finds_nothing() -> None:
    verdict = judged([event(1, 10)], [alert(2, 10.5)])
    assert (len(verdict.missed), len(verdict.spurious)) == (1, 1)


def test_an_event_within_the_alert_of_an_earlier_one_is_told_by_it() -> None:
    verdict = judged([event(1, 10), event(1, 40), event(1, 90)], [alert(1, 10.5, resolved=60)])
    assert verdict.covered == [event(1, 40)]
    assert verdict.missed == [event(1, 90)]
    assert verdict.recall == pytest.approx(2 / 3)
    still_open = judged([event(1, 10), event(1, 40)], [alert(1, 10.5)])
    assert (still_open.covered, still_open.missed) == ([event(1, 40)], [])


def test_a_second_alert_of_an_event_is_repeated_and_no_invention() -> None:
    verdict = judged([event(1, 10)], [alert(1, 10.5, resolved=11), alert(1, 12)])
    assert [one.started for one in verdict.repeated] == [NOW + 12 * SECOND]
    assert verdict.precision == 1


def test_what_no_reading_shows_or_not_for_long_enough_is_nobodys_miss() -> None:
    verdict = judged([event(1, 10)], [], lambda _: None)
    assert (verdict.unseen, verdict.missed, verdict.recall) == ([event(1, 10)], [], 1)
    assert judged([event(1, 10, 5)], [], lasting=5 * SECOND).unseen == [event(1, 10, 5)]
    assert judged([event(1, 10, 7)], [], lasting=5 * SECOND).missed == [event(1, 10, 7)]


def test_an_alert_of_an_event_that_no_reading_shows_is_found_without_a_delay() -> None:
    verdict = judged([event(1, 10)], [alert(1, 11)], lambda _: None)
    assert (len(verdict.found), verdict.delays) == (1, [])


def test_times_that_are_rounded_still_find_their_event() -> None:
    assert judged([event(1, 10.9)], [alert(1, 10)]).recall == 1
    assert judged([event(1, 10, 5)], [alert(1, 15.9)]).recall == 1
    assert judged([event(1, 10.9)], [alert(1, 10, resolved=10.5)], slack=0).recall == 0


def test_between_two_events_the_one_that_it_started_in_is_meant() -> None:
    first, second = event(1, 10), event(1, 15.5)
    verdict = judged([first, second], [alert(1, 15.6), alert(1, 14.9)])
    assert {one.event: one.alert.started for one in verdict.found} == {
        first: NOW + round(14.9 * SECOND),
        second: NOW + round(15.6 * SECOND),
    }


def test_nothing_at_all_is_perfect() -> None:
    verdict = judged([], [])
    assert (verdict.truth, verdict.recall, verdict.precision, verdict.delays) == (0, 1, 1, [])


plans = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 40), st.sampled_from(["told", "missed", "twice"])),
    max_size=40,
    unique_by=lambda plan: plan[:2],
)


@given(plan=plans, inventions=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 40)), max_size=10, unique=True))
def test_whatever_is_planted_is_found_again(
    plan: list[tuple[int, int, str]], inventions: list[tuple[int, int]]
) -> None:
    events = [event(device, 60 * place) for device, place, _ in plan]
    alerts = [alert(device, 60 * p + 0.5, resolved=60 * p + 2) for device, p, what in plan if what != "missed"]
    alerts += [alert(device, 60 * p + 3, resolved=60 * p + 5) for device, p, what in plan if what == "twice"]
    alerts += [alert(device, 60 * p + 30, resolved=60 * p + 31) for device, p in inventions]
    verdict = judged(events, alerts)
    assert {one.event for one in verdict.found} == {event(d, 60 * p) for d, p, what in plan if what != "missed"}
    assert set(verdict.missed) == {event(d, 60 * p) for d, p, what in plan if what == "missed"}
    assert len(verdict.repeated) == sum(what == "twice" for *_, what in plan)
    assert len(verdict.spurious) == len(inventions)
