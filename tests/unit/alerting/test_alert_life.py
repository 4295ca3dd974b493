"""The life of an alert, in event time."""

from tests.unit.alerting.stories import Story, rule


def test_without_for_the_first_bad_reading_fires() -> None:
    story = Story(rule())
    story.hears(0, 30.0)
    story.hears(1, 30.5)
    assert story.told == [("firing", 1)]


def test_the_first_good_reading_resolves() -> None:
    story = Story(rule())
    story.hears(0, 31.0)
    story.hears(1, 32.0)
    story.hears(2, 30.0)
    assert story.told == [("firing", 0), ("resolved", 2)]
    assert story.changes[0].id == story.changes[1].id
    assert story.changes[1].value == 30.0


def test_a_second_excursion_is_another_alert() -> None:
    story = Story(rule())
    for at, value in enumerate((31.0, 30.0, 31.0)):
        story.hears(at, value)
    assert [alert.id for alert in story.changes] == ["alert-1", "alert-1", "alert-2"]


def test_between_clear_and_value_a_firing_alert_goes_on() -> None:
    story = Story(rule(clear=25.0))
    for at, value in enumerate((31.0, 29.0, 25.1, 25.0)):
        story.hears(at, value)
    assert story.told == [("firing", 0), ("resolved", 3)]


def test_between_clear_and_value_nothing_begins() -> None:
    story = Story(rule(clear=25.0))
    story.hears(0, 29.0)
    assert story.told == []


def test_below_works_as_above_does() -> None:
    story = Story(rule(operator="le", value=5.0, clear=8.0))
    for at, value in enumerate((5.1, 5.0, 7.0, 8.0, 8.1)):
        story.hears(at, value)
    assert story.told == [("firing", 1), ("resolved", 4)]


def test_with_for_it_is_pending_until_bad_readings_span_it() -> None:
    story = Story(rule(for_s=30))
    for at in (0, 10, 20, 29, 30, 40):
        story.hears(at, 31.0)
    assert story.told == [("pending", 0), ("firing", 30)]


def test_one_good_reading_withdraws_a_pending_alert() -> None:
    story = Story(rule(for_s=30, clear=20.0))
    for at, value in ((0, 31.0), (20, 30.0), (29, 31.0), (45, 31.0)):
        story.hears(at, value)
    assert story.told == [("pending", 0), ("withdrawn", 0), ("pending", 29)]


def test_event_time_counts_not_arrival() -> None:
    story = Story(rule(for_s=30))
    story.hears(0, 31.0, now=100)
    story.hears(30, 31.0, now=100)
    assert story.told == [("pending", 0), ("firing", 30)]


def test_the_clock_fires_between_readings_that_keep_coming() -> None:
    story = Story(rule(for_s=30))
    story.hears(0, 31.0)
    story.hears(25, 32.0)
    story.clock(29.9)
    assert story.told == [("pending", 0)]
    story.clock(31)
    assert story.told == [("pending", 0), ("firing", 30)]
    assert story.changes[-1].value == 32.0


def test_one_reading_and_silence_never_fire() -> None:
    story = Story(rule(for_s=30))
    story.hears(0, 31.0)
    for at in range(0, 10_000, 5):
        story.clock(at)
    assert story.told == [("pending", 0)]


def test_readings_that_stopped_halfway_never_fire() -> None:
    story = Story(rule(for_s=30))
    story.hears(0, 31.0)
    story.hears(14, 31.0)
    for at in range(14, 1000):
        story.clock(at)
    assert story.told == [("pending", 0)]


def test_a_minute_of_silence_stops_the_clock_however_long_the_for() -> None:
    story = Story(rule(for_s=3600), max_age_s=7200)
    for at in range(0, 3540, 60):
        story.hears(at, 31.0)
    for at in range(3541, 8000):
        story.clock(at)
    assert story.told == [("pending", 0)]


def test_a_reading_that_comes_after_the_clock_has_fired_cannot_end_before_it_began() -> None:
    story = Story(rule(for_s=30))
    story.hears(0, 31.0)
    story.hears(25, 31.0)
    story.clock(31)
    story.hears(28, 20.0, now=31.5)
    assert story.told == [("pending", 0), ("firing", 30), ("resolved", 30)]


def test_a_reading_no_newer_than_the_last_is_late_and_not_evaluated() -> None:
    story = Story(rule())
    story.hears(10, 20.0)
    story.hears(9, 31.0, now=10)
    story.hears(10, 31.0)
    assert story.told == []
    assert (story.tally.late, story.tally.evaluated) == (2, 1)


def test_lateness_is_remembered_over_a_restart() -> None:
    story = Story(rule())
    story.hears(10, 31.0)
    story.restart()
    story.hears(9, 20.0, now=11)
    assert story.told == [("firing", 10)]


def test_old_data_begins_nothing() -> None:
    story = Story(rule(), max_age_s=600)
    story.hears(0, 31.0, now=600.1)
    assert story.told == []
    assert (story.tally.stale, story.tally.evaluated) == (1, 1)


def test_old_data_does_not_fire_what_is_pending() -> None:
    story = Story(rule(for_s=30), max_age_s=600)
    story.hears(0, 31.0)
    story.hears(60, 31.0, now=700)
    assert story.told == [("pending", 0)]
    story.hears(650, 31.0, now=700)
    assert story.told == [("pending", 0), ("firing", 650)]


def test_old_data_resolves() -> None:
    story = Story(rule(), max_age_s=600)
    story.hears(0, 31.0)
    story.hears(1, 20.0, now=5000)
    assert story.told == [("firing", 0), ("resolved", 1)]


def test_what_is_no_number_is_skipped_and_counted() -> None:
    story = Story(rule())
    values: tuple[float | bool | str, ...] = (True, "hot", float("nan"), float("inf"))
    for at, value in enumerate(values):
        story.hears(at, value)
    story.hears(0, 31.0)
    assert story.told == [("firing", 0)]
    assert story.tally.not_numeric == 4


def test_devices_have_alerts_of_their_own() -> None:
    story = Story(rule())
    for device in ("a", "b"):
        story.hears(0, 31.0, device=device)
    story.hears(1, 20.0, device="a")
    assert [(alert.device, alert.state.value) for alert in story.changes] == [
        ("a", "firing"),
        ("b", "firing"),
        ("a", "resolved"),
    ]


def test_forgetting_what_is_old_keeps_what_is_open() -> None:
    story = Story(rule(), max_age_s=600)
    story.hears(0, 31.0, device="bad")
    story.hears(0, 20.0, device="good")
    assert story.evaluation.forget(story.evaluation.rules["rule"].created_at + 601 * 10**9) > 0
    story.hears(1, 20.0, now=700, device="bad")
    story.hears(0, 31.0, now=700, device="good")
    assert story.told == [("firing", 0), ("resolved", 1)]
