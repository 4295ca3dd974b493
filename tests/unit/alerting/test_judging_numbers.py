import math
import statistics
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from alerting.judges.build import build
from alerting.judges.deviation import Deviation
from alerting.judges.rate import Rate
from alerting.judges.repeating import Repeating
from alerting.judges.verdict import Device, Verdict
from alerting.judges.window import Joined
from alerting.rules.spec import parse_spec
from contracts.derived import Window
from contracts.readings import Value

S = 1_000_000_000
MIN = 60 * S
DEVICE = Device("pump-1", None)


class Judged:
    """A rule about the metric x of one device, with a restart after each value."""

    def __init__(self, **content: Any) -> None:  # noqa: ANN401 - as an author writes it
        judge = build("r", 1, parse_spec({"name": "r", "metric": "x", **content})).judge
        assert judge is not None
        assert judge.memory is not None
        self.judge, self.kept = judge, msgspec.msgpack.encode(judge.memory())

    def __call__(self, at: float, value: Value) -> Verdict | None:
        assert isinstance(self.judge, Rate | Repeating | Deviation)
        memory = self.memory()
        verdict = self.judge.judge(int(at * S), value, {"x": (int(at * S), value)}, memory, DEVICE)
        self.kept = msgspec.msgpack.encode(memory)
        return verdict

    def window(self, window: Window) -> Verdict | None:
        assert isinstance(self.judge, Joined)
        memory = self.memory()
        verdict = self.judge.judge_window(window, memory)
        self.kept = msgspec.msgpack.encode(memory)
        return verdict

    def memory(self) -> Any:  # noqa: ANN401 - of the judge's type
        assert self.judge.memory is not None
        return msgspec.msgpack.decode(self.kept, type=self.judge.memory)


def levels_of(verdicts: list[Verdict | None]) -> list[int | None]:
    return [None if verdict is None else verdict.level for verdict in verdicts]


# Rate of change


def test_a_rate_is_per_second_between_two_readings() -> None:
    judged = Judged(kind="rate", value=0.5, clear=0.2)
    assert [judged(0, 10.0), judged(10, 16.0), judged(20, 19.0), judged(30, 20.0)] == [
        None,
        (1, 1, 0.6),
        (0, 1, 0.3),
        (0, 0, 0.1),
    ]


def test_a_rate_downward_is_below_zero() -> None:
    judged = Judged(kind="rate", operator="lt", value=-1)
    assert levels_of([judged(0, 10.0), judged(1, 8.0), judged(2, 9.0)]) == [None, 1, 0]


def test_a_counter_that_falls_has_begun_anew() -> None:
    judged = Judged(kind="rate", operator="ge", value=1, counter=True, over="20s")
    assert [judged(0, 990.0), judged(10, 1000.0), judged(20, 5.0), judged(30, 6.0)] == [
        None,
        None,
        (0, 0, 0.75),
        (0, 0, 0.3),
    ]


def test_what_is_no_number_has_no_rate_and_disturbs_none() -> None:
    judged = Judged(kind="rate", value=0.5)
    values: list[Value] = [10.0, "x", True, math.nan, math.inf, 20.0]
    assert levels_of([judged(at, value) for at, value in enumerate(values)]) == [None, None, None, None, None, 1]
    assert Judged(kind="rate", value=0.5)(1, -1.7e308) is None


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(-100, 100)), min_size=1, max_size=60), st.sampled_from([1, 30])
)
def test_a_rate_is_measured_from_the_newest_point_that_is_far_enough_back(
    steps: list[tuple[int, int]], over: int
) -> None:
    judged = Judged(kind="rate", value=1e9, over=f"{over}s")
    seen: list[tuple[int, float]] = []
    at = 0
    for wait, value in steps:
        at += wait
        verdict = judged(at, float(value))
        far = [(then, before) for then, before in seen if at - then >= over]
        seen.append((at, float(value)))
        if not far:
            assert verdict is None
            continue
        assert verdict is not None
        # Points are kept so many to `over`: from one of those that are at most so much further back.
        near = [(then, before) for then, before in far if far[-1][0] - then <= over / 8]
        assert verdict.number in [pytest.approx((value - before) / (at - then)) for then, before in near]
        assert len(judged.memory().points) <= 10


# N of M


@given(
    st.lists(st.sampled_from([0.0, 1.5, 2.5, 3.5]), max_size=40),
    st.integers(1, 12).flatmap(lambda of: st.tuples(st.integers(1, of), st.just(of))),
)
def test_so_many_of_the_last_values_are_bad(values: list[float], numbers: tuple[int, int]) -> None:
    times, of = numbers
    judged = Judged(
        kind="repeating",
        times=times,
        of=of,
        levels=[{"severity": "info", "value": 2, "clear": 1}, {"severity": "critical", "value": 3}],
    )
    for at, value in enumerate(values):
        last = values[max(0, at + 1 - of) : at + 1]

        def often(limit: float, last: list[float] = last) -> bool:
            return sum(one > limit for one in last) >= times

        level = 2 if often(3) else 1 if often(2) else 0
        assert judged(at, value) == (level, max(level, 1 if often(1) else 0), None)


def test_what_is_no_number_is_none_of_the_last_values() -> None:
    judged = Judged(kind="repeating", times=2, of=2, value=5)
    assert levels_of([judged(1, 6.0), judged(2, "x"), judged(3, math.nan), judged(4, 6.0)]) == [0, None, None, 1]


def test_a_thousand_values_are_remembered_in_little() -> None:
    judged = Judged(kind="repeating", times=999, of=1000, value=5)
    assert levels_of([judged(at, 6.0) for at in range(1000)])[-3:] == [0, 1, 1]
    assert len(judged.kept) < 300


# Windows


def window(minute: int, *values: Value, tier: str = "1m", width: int = MIN) -> Window:
    start = minute * width
    numbers = [value for value in values if type(value) is float]
    if not numbers:
        return Window("pump-1", "default", "x", tier, start, start + width, len(values), values[-1])
    mean = statistics.fmean(numbers)
    m2 = sum((number - mean) ** 2 for number in numbers)
    return Window(
        *("pump-1", "default", "x", tier, start, start + width, len(numbers), numbers[-1]),
        *(sum(numbers), m2, min(numbers), max(numbers), numbers[0]),
    )


ORACLES: dict[str, Callable[[list[float]], float]] = {
    "mean": statistics.fmean,
    "min": min,
    "max": max,
    "sum": sum,
    "count": len,
    "first": lambda points: points[0],
    "last": lambda points: points[-1],
    "stddev": statistics.pstdev,
    "range": lambda points: max(points) - min(points),
}


@given(
    st.lists(st.lists(st.integers(-1000, 1000).map(float), max_size=4), min_size=4, max_size=12),
    st.sampled_from(sorted(ORACLES)),
)
def test_an_aggregate_is_of_all_points_of_the_windows_that_are_there(minutes: list[list[float]], function: str) -> None:
    judged = Judged(kind="window", function=function, over="3m", value=0)
    heard = [minute for minute, points in enumerate(minutes) if points]
    for minute in heard:
        verdict = judged.window(window(minute, *minutes[minute]))
        if minute - heard[0] < 2:
            assert verdict is None
            continue
        points = [point for points in minutes[max(0, minute - 2) : minute + 1] for point in points]
        number = ORACLES[function](points)
        assert verdict is not None
        assert verdict.number == pytest.approx(number, abs=1e-6)


def test_one_window_is_judged_at_once() -> None:
    assert Judged(kind="window", function="mean", value=2).window(window(7, 1.0, 4.0)) == (1, 1, 2.5)


def test_days_of_23_and_25_hours_are_days() -> None:
    judged = Judged(kind="window", function="count", tier="1d", over="3d", value=0)
    days = [0, 24, 47, 71, 96, 120]  # hours at which they begin and end
    verdicts = [
        judged.window(Window("pump-1", "p", "x", "1d", start * 60 * MIN, end * 60 * MIN, 10, 1.0, 10.0))
        for start, end in pairwise(days)
    ]
    assert [verdict and verdict.number for verdict in verdicts] == [None, None, 30.0, 30.0, 30.0]


def test_a_window_without_numbers_has_a_count_and_no_mean() -> None:
    assert Judged(kind="window", function="count", value=1).window(window(1, "a", "b")) == (1, 1, 2.0)
    for function in ORACLES.keys() - {"count"}:
        assert Judged(kind="window", function=function, value=1).window(window(1, *[True])) is None


def test_what_no_float_can_hold_says_nothing() -> None:
    large = Window("pump-1", "p", "x", "1m", 0, MIN, 2, 1e308, None, None, -1e308, 1e308, -1e308)
    for function in ("mean", "sum", "stddev", "range"):
        assert Judged(kind="window", function=function, value=1).window(large) is None


# Deviation


def noise(count: int, scale: float = 1.0) -> list[float]:
    """Values about 20 whose standard deviation is about `scale`."""
    return [20 + scale * math.sqrt(2) * math.sin(at * 2.4) for at in range(count)]


def learnt(**content: Any) -> Judged:  # noqa: ANN401 - as an author writes it
    judged = Judged(**{"kind": "deviation", "value": 4, "memory": "10m", **content})
    for at, value in enumerate(noise(120)):
        judged(at * 10, value)
    return judged


def test_nothing_is_far_off_until_enough_values_have_come() -> None:
    judged = Judged(kind="deviation", value=4, warm_up=30)
    verdicts = [judged(at * 10, value) for at, value in enumerate([*noise(29), 1000.0])]
    assert set(verdicts) == {None}


def test_a_value_is_compared_to_those_before_it() -> None:
    judged = learnt()
    verdict = judged(1200, 30.0)
    assert verdict is not None
    assert verdict.level == 1
    assert verdict.number == pytest.approx(10, rel=0.15)
    assert levels_of([judged(1210, 21.0)]) == [0]


@pytest.mark.parametrize(("direction", "levels"), [("both", [1, 1]), ("above", [1, 0]), ("below", [0, 1])])
def test_a_direction_says_to_which_side(direction: str, levels: list[int]) -> None:
    assert levels_of([learnt(direction=direction)(1200, value) for value in (30.0, 10.0)]) == levels


def test_an_outlier_does_not_hide_the_next_one() -> None:
    judged = learnt()
    assert levels_of([judged(1200 + at * 10, 1e6 if at % 2 else 30.0) for at in range(6)]) == [1] * 6


def test_a_step_is_bad_for_the_time_constant_and_then_learnt() -> None:
    judged = learnt(warm_up=20)
    levels = levels_of([judged(1200 + at * 10, 60 + value) for at, value in enumerate(noise(120))])
    bad, learning = levels.index(None), levels.count(None)
    assert levels[:bad] == [1] * bad
    assert bad * 10 == pytest.approx(600, abs=20)
    assert learning == 19
    assert set(levels[bad + learning :]) == {0}


def test_noise_that_grows_is_learnt_although_most_of_it_is_bad() -> None:
    judged = learnt()
    levels = levels_of([judged(1200 + at * 10, value) for at, value in enumerate(noise(600, 15.0))])
    assert sum(level == 1 for level in levels[:30]) > 20
    assert set(levels[-200:]) == {0}


def test_after_a_pause_no_single_value_counts_for_much() -> None:
    judged = learnt()
    assert levels_of([judged(1200 + 1500, 21.0)]) == [0]
    assert levels_of([judged(1200 + 1510, 30.0), judged(1200 + 1520, 19.0)]) == [1, 0]


def test_after_a_long_pause_it_learns_anew() -> None:
    judged = learnt()
    levels = levels_of([judged(1200 + 1900 + at * 10, 500 + value) for at, value in enumerate(noise(40))])
    assert levels == [None] * 30 + [0] * 10


@given(st.lists(st.integers(1, 120), min_size=100, max_size=150))
def test_mean_and_deviation_do_not_depend_on_how_often_values_come(waits: list[int]) -> None:
    judged = Judged(kind="deviation", value=4, memory="1h")
    at = 0
    for number, wait in enumerate(waits):
        at += wait
        judged(at, 20 + math.sqrt(2) * math.sin(number * 2.4))
    memory = judged.memory()
    assert memory.mean == pytest.approx(20, abs=0.3)
    assert math.sqrt(memory.variance) == pytest.approx(1, abs=0.25)


def test_what_never_moved_has_no_deviation_unless_one_is_given() -> None:
    still, given_one = (Judged(kind="deviation", value=4, warm_up=10, least=least) for least in (0, 0.5))
    values = [*[20.0] * 20, 21.0, 20.0, 30.0]
    assert levels_of([given_one(at, value) for at, value in enumerate(values)])[10:] == [0] * 12 + [1]
    assert levels_of([still(at, value) for at, value in enumerate(values[:21])]) == [None] * 21


def test_values_too_large_for_floats_are_forgotten() -> None:
    judged = Judged(kind="deviation", value=4, warm_up=2)
    assert levels_of([judged(at, 1.7e308 * (-1) ** at) for at in range(5)]) == [None] * 5
    assert set(levels_of([judged(10 + at, value) for at, value in enumerate(noise(10))])) == {None, 0}


# All of them

ANY_VALUE = st.floats() | st.sampled_from([1.7e308, -1.7e308, 5e-324]) | st.booleans() | st.text(max_size=3)
ANY_KIND: list[dict[str, Any]] = [
    {"kind": "rate", "value": 1},
    {"kind": "rate", "value": 1, "over": "1m", "counter": True},
    {"kind": "repeating", "value": 1, "times": 2, "of": 9},
    {"kind": "deviation", "value": 2, "warm_up": 2, "memory": "1m"},
    {"kind": "deviation", "value": 2, "warm_up": 2, "memory": "1m", "least": 1e-300, "direction": "below"},
]


@given(
    st.sampled_from(ANY_KIND),
    st.lists(st.tuples(st.integers(1, 10**17).map(lambda ns: ns / S), ANY_VALUE), max_size=30),
)
def test_whatever_comes_is_judged_or_says_nothing_and_does_no_lasting_harm(
    content: dict[str, Any], values: list[tuple[float, Value]]
) -> None:
    judged = Judged(**content)
    at = 0.0
    for wait, value in values:
        at += wait
        verdict = judged(at, value)
        assert verdict is None or 0 <= verdict.level <= verdict.holds <= 1
        assert verdict is None or verdict.number is None or math.isfinite(verdict.number)
    ordinary = [judged(at + 60 * (n + 1), float(n % 2)) for n in range(80)]
    assert None not in ordinary[-20:]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"kind": "repeating", "value": 1, "times": 3, "of": 2}, "times must not be more than of"),
        ({"kind": "window", "function": "mean", "value": 1, "over": "90s"}, "1 to 120 whole windows of the tier"),
        ({"kind": "window", "function": "mean", "value": 1, "over": "0s"}, "1 to 120 whole windows of the tier"),
        ({"kind": "window", "function": "mean", "value": 1, "over": "3h"}, "1 to 120 whole windows of the tier"),
        ({"kind": "deviation", "value": 4, "operator": "lt"}, "operator has to be gt or ge"),
        ({"kind": "deviation", "value": 0}, "more than 0"),
        ({"kind": "deviation", "value": 4, "clear": -1}, "clear no less than 0"),
        ({"kind": "deviation", "value": 4, "memory": "0s"}, "memory has to be more than 0s"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused_with_the_reason(content: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        parse_spec({"name": "r", "metric": "x", **content})
