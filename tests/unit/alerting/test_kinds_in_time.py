"""Rules of every kind in time: with crashes, redelivery and restarts they do the same as undisturbed."""

from contracts.derived import Window
from tests.unit.alerting.timeline import T0, Timeline, alert, at, between, reading, record, rule

MINUTE = 60_000_000_000
BEGIN = T0 - T0 % MINUTE + MINUTE
"""The first full minute of the timeline."""


def window(minute: int, mean: float, device: str = "d1") -> Window:
    start = BEGIN + minute * MINUTE
    return Window(device, "default", "t", "1m", start, start + MINUTE, 6, mean, 6 * mean, 0.0, mean, mean, mean)


def closed(minute: int) -> float:
    """When a window is heard of, in seconds after the beginning."""
    return (BEGIN - T0) / 1e9 + 60 * (minute + 1) + 1


def test_a_rate_fires_with_the_rate_as_its_value() -> None:
    line = Timeline(rule(kind="rate", metric="t", value=2.0, clear=0.5, over="4s"))
    for seconds, value in [(0, 10.0), (2, 10.0), (4, 11.0), (6, 20.0), (8, 24.0), (10, 22.0), (12, 24.0)]:
        line.push(at(seconds), reading(t=value))
    line.want(at(6), alert().firing(value=2.5, threshold=2.0, at=6.0))
    line.want(at(10), alert().resolved(value=0.5, at=10.0))
    line.check()


def test_a_counter_may_begin_anew_between_two_crashes() -> None:
    line = Timeline(rule(kind="rate", metric="litres", value=1.0, counter=True))
    for seconds, value in [(0, 990.0), (10, 1000.0), (20, 9.0), (30, 39.0), (40, 39.0)]:
        line.push(at(seconds), reading(litres=value))
    line.want(at(30), alert().firing(value=3.0))
    line.want(at(40), alert().resolved(value=0.0))
    line.check()


def test_three_of_the_last_five_values_are_bad() -> None:
    line = Timeline(rule(kind="repeating", metric="t", value=30.0, times=3, of=5))
    for seconds, value in enumerate([31.0, 20.0, 31.0, 20.0, 20.0, 31.0, 31.0, 20.0, 20.0, 31.0, 20.0]):
        line.push(at(seconds), reading(t=value))
    line.want(at(6), alert().firing(value=31.0))
    line.want(at(7), alert().resolved())
    line.want(at(9), alert().firing())
    line.want(at(10), alert().resolved())
    line.check()


def test_a_condition_waits_for_all_its_metrics_and_is_held() -> None:
    line = Timeline(
        rule(kind="condition", condition='t > 30 && door == "open" && tags.site == "north"', hold="t > 25", for_="2s"),
        devices=[record("d1", tags={"site": "north"}), record("d2", tags={"site": "south"})],
    )
    for device in ("d1", "d2"):
        line.push(at(1), reading(device, t=31.0))
        line.push(at(2), reading(device, door="open"))
        line.push(at(4), reading(device, t=32.0))
        line.push(at(5), reading(device, door="shut"))
        line.push(at(6), reading(device, t=25.0))
    line.want(at(2), alert().pending(at=2.0))
    line.want(at(4), alert().firing())
    line.want(at(6), alert().resolved(at=6.0))
    line.check()


def test_a_condition_knows_the_rate_of_a_counter() -> None:
    line = Timeline(rule(kind="condition", condition='rate(litres) > 1 && valve == "shut"'))
    for seconds, litres in [(0, 100.0), (10, 130.0), (20, 131.0)]:
        line.push(at(seconds), reading(litres=litres))
    line.push(at(12), reading(valve="shut"))
    line.want(at(12), alert().firing())
    line.want(at(20), alert().resolved())
    line.check()


def test_a_condition_looks_at_a_device_as_it_is_registered_at_its_next_reading() -> None:
    line = Timeline(rule(kind="condition", condition='t > 30 && "hall" in groups'), devices=[record()])
    line.push(at(1), reading(t=31.0))
    line.do(at(6), lambda world: world.register(record(groups=["hall", "works"])))
    line.push(at(11), reading(t=31.5))
    line.do(at(16), lambda world: world.register(record()))
    line.push(at(21), reading(t=32.0))
    line.want(at(11), alert().firing(at=11.0))
    line.want(at(21), alert().resolved())
    line.check()


def test_a_mean_of_windows_fires_at_the_end_of_a_window() -> None:
    line = Timeline(rule(kind="window", metric="t", function="mean", value=30.0, over="2m", keep_firing_for="30s"))
    for minute, mean in enumerate([40.0, 28.0, 20.0]):
        line.push(at(closed(minute)), window(minute, mean))
    line.push(at(closed(2) + 1), window(0, 99.0))  # a correction of what is over changes nothing
    end = (BEGIN - T0) / 1e9 + 60
    line.want(at(closed(1)), alert().firing(value=34.0, at=end + 60))
    line.want(between(closed(2), closed(2) + 31), alert().resolved(at=end + 120 + 30))
    line.check(until=closed(2) + 60)


def test_a_deviation_is_told_in_standard_deviations() -> None:
    line = Timeline(rule(kind="deviation", metric="t", value=5.0, clear=2.0, memory="10s", warm_up=10, least=1.0))
    for seconds in range(12):
        line.push(at(seconds), reading(t=20.0 + seconds % 2))
    for seconds, value in [(12, 30.0), (13, 23.5), (14, 21.0)]:
        line.push(at(seconds), reading(t=value))
    line.want(at(12), alert().firing(threshold=5.0, at=12.0))
    line.want(at(14), alert().resolved())
    line.check()
