"""Absence, and what rules do when no data comes."""

from typing import Any

from alerting.life.alert import Ending
from alerting.rules.rule import Rule
from tests.unit.alerting.timeline import Act, Timeline, World, alert, at, between, every, ns, reading, record, rule


def absent(rule_id: str = "gone", **content: Any) -> Rule:  # noqa: ANN401 - a rule as JSON has it
    return rule(rule_id, kind="absence", **content)


def behind(until: float | None) -> Act:
    """Have ingest be at `until`, seconds after the beginning, with what it has received; None: at the clock."""

    def act(world: World) -> None:
        world.heard_until = None if until is None else ns(until)

    return act


# ThingsBoard 8614 and 6821: inactivity was only known of devices that had once been heard, and late.
def test_absence_of_a_device_never_heard_fires_at_the_time_at_which_it_is_due() -> None:
    line = Timeline(absent(after="60s"), devices=[record("d1"), record("d2"), record("d3", enabled=False)])
    line.push(every(30, 10, 100), reading("d2", temperature=20.0))
    line.want(at(60), alert("gone", "d1").firing(at=60.0, no_data=True, evidence={}))
    line.want(at(160), alert("gone", "d2").firing(at=160.0))
    line.check(until=200)


def test_the_registry_says_for_how_long_a_device_may_be_silent() -> None:
    line = Timeline(absent(intervals=2.0), devices=[record("d1", interval=10.0), record("d2")])
    line.want(at(20), alert("gone").firing(at=20.0))
    line.check(until=100)


def test_the_first_reading_ends_an_absence_and_the_next_silence_begins_another() -> None:
    line = Timeline(absent(after="60s"), devices=[record()])
    line.push(at(90), reading(humidity=50.0))
    line.want(at(60), alert("gone").firing(id="a1"))
    line.want(at(90), alert("gone").resolved(id="a1", at=90.0))
    line.want(at(150), alert("gone").firing(id="a2", at=150.0))
    line.check(until=200)


def test_keep_firing_for_keeps_an_absence_until_the_device_has_stayed() -> None:
    line = Timeline(absent(after="60s", keep_firing_for="30s"), devices=[record()])
    line.push(every(20, 90, 150), reading(temperature=1.0))
    line.want(at(60), alert("gone").firing())
    line.want(at(120), alert("gone").resolved(at=120.0))
    line.want(at(210), alert("gone").firing())
    line.check(until=220)


def test_longer_silence_is_more_severe() -> None:
    levels = [{"severity": "info", "after": "60s"}, {"severity": "critical", "after": "120s"}]
    line = Timeline(absent(levels=levels), devices=[record()])
    line.do(at(200), behind(70))
    line.do(at(0), behind(0))
    line.do(at(300), behind(None))
    line.want(at(200), alert("gone").firing(level=1, at=60.0))
    line.want(at(300), alert("gone").escalated(2, at=120.0))
    line.check(until=301)


def test_absence_of_a_metric_is_not_ended_by_another_metric() -> None:
    line = Timeline(absent(metric="pressure", after="60s"), devices=[record()])
    line.push(every(10, 0, 120), reading(temperature=1.0))
    line.push(at(100), reading(pressure=1.0))
    line.want(at(60), alert("gone").firing(metric="pressure"))
    line.want(at(100), alert("gone").resolved())
    line.want(at(160), alert("gone").firing())
    line.check(until=170)


# ThingsBoard 14210: alarms fired because telemetry was lost or late on its way, not because devices were silent.
def test_no_alarm_from_data_loss_while_what_ingest_received_has_not_been_taken() -> None:
    line = Timeline(absent(after="60s"), rule("hot", no_data={"policy": "fire", "after": "60s"}), devices=[record()])
    line.push(at(0), reading(temperature=1.0))
    line.do(at(50), behind(50))
    line.push(at(400), reading(ts=100, temperature=1.0))
    line.do(at(401), behind(401))
    line.check(until=450)


def test_a_burst_of_old_data_shows_that_a_device_lives() -> None:
    line = Timeline(absent(after="60s"), rule("hot"), devices=[record()])
    line.want(at(60), alert("gone").firing())
    line.push(at(1000), reading(ts=10, temperature=99.0))
    line.want(at(1000), alert("gone").resolved(at=60.0))
    line.want(at(1060), alert("gone").firing(at=1060.0))
    line.check(until=1061)


def test_a_reading_that_comes_again_ends_no_absence() -> None:
    line = Timeline(absent(after="60s"), devices=[record()])
    line.push(at(10), reading(temperature=1.0))
    line.want(at(70), alert("gone").firing())

    def again(world: World) -> None:
        world.shard.take(world.log[0], world.now)  # type: ignore[arg-type]  # the reading that was sent above

    line.do(at(80), again)
    line.check(until=90)


def test_a_device_registered_later_is_given_its_time() -> None:
    line = Timeline(absent(after="60s"))
    line.do(at(100), lambda world: world.register(record()))
    line.want(at(160), alert("gone").firing(at=160.0))
    line.check()


def test_a_device_that_is_disabled_or_deleted_is_missed_no_more() -> None:
    line = Timeline(absent(after="60s"), devices=[record("d1"), record("d2"), record("d3")])
    line.do(at(30), lambda world: world.delete("d3"))
    for device in ("d1", "d2"):
        line.want(at(60), alert("gone", device).firing())
        line.want(at(100), alert("gone", device).resolved(Ending.DEVICE_GONE))
    line.do(at(100), lambda world: world.delete("d1"))
    line.do(at(100), lambda world: world.register(record("d2", enabled=False)))
    line.do(at(200), lambda world: world.register(record("d2")))
    line.want(at(260), alert("gone", "d2").firing(at=260.0))
    line.check(until=300)


def test_a_device_that_was_never_registered_is_not_gone() -> None:
    line = Timeline(rule(), rule("tagged", selector={"profile": "default"}))
    line.push(at(0), reading(temperature=31.0))
    line.want(at(0), alert().firing())
    line.want(at(0), alert("tagged").firing())
    line.check(until=30)


def test_an_absence_rule_that_comes_later_looks_at_all_registered_devices() -> None:
    line = Timeline(devices=[record("d1"), record("d2", tags={"site": "north"})])
    line.do(at(10), lambda world: world.put(absent(after="60s", selector={"tags": {"site": "north"}})))
    line.want(between(70, 70.5), alert("gone", "d2").firing())
    line.check(until=80)


def test_a_shorter_interval_counts_at_once() -> None:
    line = Timeline(absent(intervals=2.0), devices=[record(interval=1000.0)])
    line.do(at(100), lambda world: world.register(record(interval=10.0)))
    line.want(at(100), alert("gone").firing(at=20.0))
    line.check(until=110)


def test_an_absence_that_an_operator_resolves_is_back_after_as_much_more_silence() -> None:
    line = Timeline(absent(after="60s"), devices=[record()])
    line.want(at(60), alert("gone").firing())
    line.do(at(70), lambda world: world.resolve("gone"))
    line.want(at(70), alert("gone").resolved(Ending.OPERATOR))
    line.want(at(130), alert("gone").firing(at=130.0))
    line.check(until=140)


def test_no_data_holds_an_alert_where_nothing_else_is_said() -> None:
    line = Timeline(rule(), devices=[record(interval=1.0)])
    line.push(at(0), reading(temperature=31.0))
    line.want(at(0), alert().firing())
    line.check(until=100)


def test_no_data_can_resolve_an_alert_or_withdraw_a_pending_one() -> None:
    quiet = {"policy": "resolve", "after": "60s"}
    line = Timeline(rule(no_data=quiet), rule("slow", for_="1h", no_data=quiet))
    line.push(at(0), reading(temperature=31.0))
    line.push(every(10, 0, 200), reading(humidity=31.0))
    line.want(at(0), alert().firing())
    line.want(at(0), alert("slow").pending())
    line.want(at(60), alert().resolved(Ending.NO_DATA, at=60.0))
    line.want(at(60), alert("slow").withdrawn())
    line.check()


def test_no_data_can_fire_and_the_next_good_reading_ends_it() -> None:
    line = Timeline(rule(no_data={"policy": "fire", "after": "60s"}))
    line.push(at(0), reading(temperature=1.0))
    line.push(at(100), reading(temperature=1.0))
    line.want(at(60), alert().firing(no_data=True, value=None, at=60.0))
    line.want(at(100), alert().resolved(at=100.0))
    line.want(at(160), alert().firing())
    line.check(until=170)


def test_an_alert_of_silence_says_so_until_values_are_bad_for_long_enough() -> None:
    line = Timeline(rule(for_="20s", no_data={"policy": "fire", "after": "60s"}))
    line.push(at(0), reading(temperature=1.0))
    line.push(every(10, 100, 140), reading(temperature=31.0))
    line.push(at(150), reading(temperature=1.0))
    line.want(at(60), alert().firing(no_data=True))
    line.want(at(120), alert().firing(no_data=False, value=31.0, at=120.0))
    line.want(at(150), alert().resolved())
    line.check(until=160)


def test_an_alert_that_had_begun_to_clear_stands_for_silence_when_no_more_comes() -> None:
    line = Timeline(rule(keep_firing_for="5m", no_data={"policy": "fire", "after": "60s"}))
    line.push(at(0), reading(temperature=31.0))
    line.push(at(10), reading(temperature=1.0))
    line.want(at(0), alert().firing(no_data=False))
    line.want(at(70), alert().firing(no_data=True, id="a1"))
    line.check(until=500)


def test_what_says_nothing_ends_silence_all_the_same() -> None:
    line = Timeline(rule(no_data={"policy": "fire", "after": "60s"}))
    line.push(at(0), reading(temperature=1.0))
    line.push(at(70), reading(temperature="hot"))
    line.want(at(60), alert().firing())
    line.want(at(70), alert().resolved())
    line.check(until=80)
