"""What others' alarms are known to get wrong, as far as evaluation can; for absence see the tests of silence."""

from alerting.life.alert import Ending
from tests.unit.alerting.timeline import Timeline, World, alert, at, every, reading, rule


# ThingsBoard 13050: an alarm that somebody had cleared was not created again while the value stayed bad.
def test_it_fires_again_after_a_manual_resolve_while_the_value_is_still_bad() -> None:
    line = Timeline(rule())
    line.push(every(10, 0, 30), reading(temperature=31.0))
    line.do(at(15), lambda world: world.resolve())
    line.want(at(0), alert().firing(id="a1"))
    line.want(at(15), alert().resolved(Ending.OPERATOR, id="a1"))
    line.want(at(20), alert().firing(id="a2", at=20.0))
    line.check()


def test_after_a_manual_resolve_values_have_to_be_bad_for_as_long_again() -> None:
    line = Timeline(rule(for_="15s"))
    line.push(every(5, 0, 50), reading(temperature=31.0))
    line.do(at(22), lambda world: world.resolve())
    line.want(at(0), alert().pending())
    line.want(at(15), alert().firing())
    line.want(at(22), alert().resolved(Ending.OPERATOR))
    line.want(at(25), alert().pending())
    line.want(at(40), alert().firing())
    line.check()


# ThingsBoard 7909: a clearing that was evaluated beside the alarm's creation left the alarm uncleared.
def test_no_alarm_is_left_uncleared_by_a_race_of_bad_and_good_readings() -> None:
    undamped = {"changes": 0}
    line = Timeline(rule(flapping=undamped), rule("also", flapping=undamped))
    for second in range(20):
        line.push(at(second), reading(temperature=31.0))
        line.push(at(second), reading(ts=second + 0.001, temperature=1.0))
        for name in ("hot", "also"):
            line.want(at(second), alert(name).firing(at=float(second)))
            line.want(at(second), alert(name).resolved(at=second + 0.001))
    assert not line.check().disk.open


# ThingsBoard 4207: data that came out of order was judged as if it were news.
def test_readings_out_of_order_neither_fire_what_is_over_nor_end_what_is_bad() -> None:
    line = Timeline(rule(), rule("slow", for_="10s"))
    line.push(at(10), reading(ts=10, temperature=1.0))
    line.push(at(11), reading(ts=5, temperature=31.0))
    line.push(at(20), reading(ts=20, temperature=31.0))
    line.push(at(21), reading(ts=15, temperature=1.0))
    line.push(at(22), reading(ts=20, temperature=1.0))
    line.push(at(30), reading(ts=30, temperature=31.0))
    line.want(at(20), alert().firing(at=20.0))
    line.want(at(20), alert("slow").pending())
    line.want(at(30), alert("slow").firing(at=30.0))
    assert line.check().tally.late == 6


# Kapacitor 744: after a restart alerts that were open came again as new ones, or their ends were lost.
def test_an_alert_that_was_open_over_a_restart_is_the_same_and_ends() -> None:
    line = Timeline(rule())
    line.push(at(0), reading(temperature=31.0))
    line.do(at(5), World.start)
    line.push(at(10), reading(temperature=32.0))
    line.do(at(15), World.start)
    line.push(at(20), reading(temperature=1.0))
    line.want(at(0), alert().firing(id="a1"))
    line.want(at(20), alert().resolved(id="a1"))
    line.check()
