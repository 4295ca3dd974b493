"""The life of an alert, in event time."""

from contracts.readings import Value
from tests.unit.alerting.timeline import SECOND, T0, Timeline, alert, at, between, every, reading, rule


def test_without_for_the_first_bad_reading_fires_and_the_first_good_one_resolves() -> None:
    line = Timeline(rule())
    line.push(at(0), reading(temperature=30.0))
    line.push(at(1), reading(temperature=30.5))
    line.want(at(1), alert().firing(value=30.5, threshold=30.0, level=1, at=1.0))
    line.push(at(2), reading(temperature=32.0))
    line.push(at(3), reading(temperature=30.0))
    line.want(at(3), alert().resolved(value=30.0, fired_at=T0 + SECOND))
    line.check()


def test_a_second_excursion_is_another_alert() -> None:
    line = Timeline(rule())
    for second, value in enumerate((31.0, 30.0, 31.0)):
        line.push(at(second), reading(temperature=value))
    line.want(at(0), alert().firing(id="a1"))
    line.want(at(1), alert().resolved(id="a1"))
    line.want(at(2), alert().firing(id="a2"))
    line.check()


def test_between_clear_and_value_a_firing_alert_goes_on_and_nothing_begins() -> None:
    line = Timeline(rule(clear=25.0))
    for second, value in enumerate((29.0, 31.0, 29.0, 25.1, 25.0, 29.0)):
        line.push(at(second), reading(temperature=value))
    line.want(at(1), alert().firing())
    line.want(at(4), alert().resolved())
    line.check()


def test_with_for_it_is_pending_until_bad_readings_span_it() -> None:
    line = Timeline(rule(for_="30s"))
    line.push(every(10, 0, 40), reading(temperature=31.0))
    line.want(at(0), alert().pending())
    line.want(at(30), alert().firing(at=30.0))
    line.check()


def test_one_good_reading_withdraws_a_pending_alert() -> None:
    line = Timeline(rule(for_="30s", clear=20.0))
    for second, value in ((0, 31.0), (20, 30.0), (29, 31.0), (45, 31.0)):
        line.push(at(second), reading(temperature=value))
    line.want(at(0), alert().pending())
    line.want(at(20), alert().withdrawn())
    line.want(at(29), alert().pending())
    line.check()


def test_the_clock_fires_between_readings_that_keep_coming() -> None:
    line = Timeline(rule(for_="30s"))
    line.push(at(0), reading(temperature=31.0))
    line.push(at(25), reading(temperature=32.0))
    line.want(at(0), alert().pending())
    line.want(at(30), alert().firing(at=30.0, value=32.0))
    line.check()


def test_one_reading_or_readings_that_stopped_halfway_never_fire() -> None:
    line = Timeline(rule(for_="30s"))
    line.push(at(0), reading(temperature=31.0))
    line.push(at(14), reading(temperature=31.0))
    line.want(at(0), alert().pending())
    line.check(until=300)


def test_the_most_severe_level_that_is_reached_is_the_alerts() -> None:
    levels = [{"severity": "info", "value": 30.0}, {"severity": "critical", "value": 40.0, "clear": 35.0}]
    line = Timeline(rule(levels=levels))
    for second, value in enumerate((31.0, 41.0, 36.0, 35.0, 45.0, 20.0)):
        line.push(at(second), reading(temperature=value))
    line.want(at(0), alert().firing(level=1, severity="info", threshold=30.0))
    line.want(at(1), alert().escalated(2, severity="critical", threshold=40.0))
    line.want(at(3), alert().deescalated(1, severity="info", value=35.0))
    line.want(at(4), alert().escalated(2))
    line.want(at(5), alert().resolved(level=2))
    line.check()


def test_each_level_has_to_be_reached_for_as_long_and_kept_for_as_long() -> None:
    levels = [{"severity": "warning", "value": 30.0}, {"severity": "critical", "value": 40.0}]
    line = Timeline(rule(levels=levels, for_="10s", keep_firing_for="20s"))
    line.push(every(2, 0, 4), reading(temperature=31.0))
    line.push(every(2, 6, 20), reading(temperature=41.0))
    line.push(every(2, 22, 28), reading(temperature=31.0))
    line.push(every(2, 30, 60), reading(temperature=20.0))
    line.want(at(0), alert().pending())
    line.want(at(10), alert().firing(level=1, at=10.0))
    line.want(at(16), alert().escalated(2, at=16.0))
    line.want(at(42), alert().deescalated(1, at=42.0))
    line.want(at(50), alert().resolved(at=50.0))
    line.check()


def test_an_alert_that_is_kept_ends_by_the_clock_when_nothing_more_comes() -> None:
    line = Timeline(rule(keep_firing_for="20s"))
    line.push(at(0), reading(temperature=31.0))
    line.push(at(5), reading(temperature=20.0))
    line.want(at(0), alert().firing())
    line.want(at(25), alert().resolved(at=25.0, value=20.0))
    line.check()


def test_an_alert_that_turns_bad_again_while_it_is_kept_goes_on() -> None:
    line = Timeline(rule(keep_firing_for="20s"))
    for second, value in ((0, 31.0), (5, 20.0), (24, 31.0), (30, 20.0)):
        line.push(at(second), reading(temperature=value))
    line.want(at(0), alert().firing())
    line.want(at(50), alert().resolved(at=50.0))
    line.check()


def test_what_was_kept_for_long_enough_is_over_before_a_later_reading_counts_however_late_that_is_read() -> None:
    line = Timeline(rule(keep_firing_for="20s"))
    line.push(at(0), reading(temperature=31.0))
    line.push(at(60), reading(temperature=20.0, ts=1))
    line.push(at(60), reading(temperature=31.0, ts=50))
    line.want(at(0), alert().firing())
    line.want(at(60), alert().resolved(at=21.0))
    line.want(at(60), alert().firing(at=50.0))
    line.check()


def test_an_alert_that_comes_and_goes_is_damped_until_it_has_been_quiet() -> None:
    line = Timeline(rule(flapping={"changes": 4, "within": "60s"}))
    for number in range(4):
        line.push(at(number * 10), reading(temperature=31.0))
        line.push(at(number * 10 + 5), reading(temperature=20.0))
    for number in range(2):
        line.want(at(number * 10), alert().firing(flapping=False))
        line.want(at(number * 10 + 5), alert().resolved())
    line.want(at(20), alert().firing(flapping=True))
    line.want(at(95), alert().resolved(at=95.0))
    line.push(at(100), reading(temperature=31.0))
    line.want(at(100), alert().firing(flapping=False))
    line.check()


def test_event_time_counts_not_arrival() -> None:
    line = Timeline(rule(for_="30s"))
    line.push(at(100), reading(temperature=31.0, ts=0))
    line.push(at(100), reading(temperature=31.0, ts=30))
    line.want(at(100), alert().pending(at=0.0))
    line.want(at(100), alert().firing(at=30.0))
    line.check()


def test_a_reading_under_way_when_the_clock_fired_cannot_end_an_alert_before_it_began() -> None:
    line = Timeline(rule(for_="30s"))
    line.push(every(25, 0, 25), reading(temperature=31.0))
    line.push(at(31), reading(temperature=20.0, ts=28))
    line.want(at(0), alert().pending())
    line.want(at(30), alert().firing(at=30.0))
    line.want(at(31), alert().resolved(at=30.0))
    line.check()


def test_old_data_begins_nothing_and_fires_nothing_but_resolves() -> None:
    line = Timeline(rule(), rule("slow", for_="30s"))
    line.push(at(0), reading(temperature=31.0))
    line.push(at(1), reading("d2", temperature=20.0))
    line.push(at(700), reading(temperature=32.0, ts=40))
    line.push(at(701), reading(temperature=20.0, ts=41))
    line.push(at(702), reading("d2", temperature=31.0, ts=50))
    line.want(at(0), alert().firing())
    line.want(at(0), alert("slow").pending())
    line.want(at(701), alert().resolved(at=41.0))
    line.want(at(701), alert("slow").withdrawn())
    assert line.check().tally.stale == 6


def test_old_data_raises_no_level() -> None:
    levels = [{"severity": "info", "value": 30.0}, {"severity": "critical", "value": 40.0}]
    line = Timeline(rule(levels=levels))
    line.push(at(0), reading(temperature=31.0))
    line.push(at(700), reading(temperature=41.0, ts=50))
    line.push(at(701), reading(temperature=41.0))
    line.want(at(0), alert().firing(level=1))
    line.want(at(701), alert().escalated(2))
    line.check()


def test_what_says_nothing_is_skipped_and_counted() -> None:
    line = Timeline(rule())
    values: list[Value] = [31.0, float("nan"), True, "hot", 20.0]
    for second, value in enumerate(values):
        line.push(at(second), reading(temperature=value))
    line.want(at(0), alert().firing())
    line.want(between(4, 4.25), alert().resolved())
    assert line.check().tally.says_nothing == 3
