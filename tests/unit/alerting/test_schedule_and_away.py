"""What a schedule does to alerts while we were away, or behind what devices have sent."""

from alerting.life.alert import Ending
from tests.unit.alerting.timeline import Act, Timeline, World, alert, at, every, ns, reading, rule

# The beginning is a Wednesday, 06:13:20 UTC.
HOURS = {"zone": "UTC", "times": [{"days": ["wed"], "from": "06:13", "to": "06:15"}]}


def hears_nothing(world: World) -> None:
    """Restart, and know of no time up to which devices have been heard."""
    world.start()
    world.heard_until = 0


def heard_until(seconds: float) -> Act:
    def act(world: World) -> None:
        world.heard_until = ns(seconds)

    return act


def test_a_restart_within_the_schedule_ends_no_alert() -> None:
    line = Timeline(rule(schedule=HOURS))
    line.push(every(10, 0, 40), reading(temperature=31.0))
    line.want(at(0), alert().firing())
    line.do(at(20), hears_nothing)
    line.check(until=50)


def test_a_schedule_that_ended_while_nothing_was_heard_ends_the_alerts_of_then() -> None:
    hours = {"zone": "UTC", "times": [{"from": "06:13", "to": "06:15"}, {"from": "06:20", "to": "06:30"}]}
    line = Timeline(rule(schedule=hours))
    line.push(at(0), reading(temperature=31.0))
    line.want(at(0), alert().firing())
    line.do(at(1), heard_until(1))
    line.do(at(500), heard_until(500))
    line.want(at(500), alert().resolved(Ending.OFF_SCHEDULE, at=100.0))
    line.check(until=510)


def test_the_clock_fires_nothing_after_the_schedule_has_ended() -> None:
    line = Timeline(rule(schedule=HOURS, for_="20s"))
    line.push(every(5, 81, 96), reading(temperature=31.0))
    line.want(at(81), alert().pending())
    line.do(at(97), heard_until(97))
    line.do(at(103), heard_until(103))
    line.want(at(103), alert().withdrawn())
    line.check(until=110)
