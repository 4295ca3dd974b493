"""Percentiles from buckets are as good as those from all values, to the width of a bucket."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.truth.histogram import COARSE, PRECISE, Histogram

PERCENTS = [0.0, 1.0, 50.0, 90.0, 99.0, 99.9, 100.0]


@pytest.mark.parametrize(("bits", "width"), [(PRECISE, 1 / 1000), (COARSE, 1 / 60)])
@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=200))
def test_a_percentile_is_that_of_the_values(bits: int, width: float, durations: list[int]) -> None:
    histogram = Histogram(bits)
    half = len(durations) // 2
    other = Histogram(bits)
    histogram.add(np.array(durations[:half], dtype=np.int64))
    other.add(np.array(durations[half:], dtype=np.int64))
    histogram.merge(other)
    ordered = sorted(durations)
    for percent, found in zip(PERCENTS, histogram.percentiles(PERCENTS), strict=True):
        exact = ordered[max(0, int(np.ceil(percent / 100 * len(ordered) - 1e-9)) - 1)] / 1e9
        assert exact - 1e-6 <= found <= exact * (1 + width) + 1e-6
    assert histogram.count == len(durations)
    assert histogram.most == max(durations) / 1e9


def test_a_curve_goes_as_far_as_there_are_values() -> None:
    histogram = Histogram()
    histogram.add(np.arange(1, 1001, dtype=np.int64) * 1_000_000)
    curve = dict(histogram.curve())
    assert curve[0.0] == pytest.approx(0.001, rel=1e-3)
    assert curve[91.0 - 1.0] == pytest.approx(0.9, rel=1e-3)
    assert curve[99.0] == pytest.approx(0.99, rel=1e-3)
    assert curve[99.9] == pytest.approx(0.999, rel=1e-3)
    assert max(curve) == pytest.approx(99.99)


def test_without_values_everything_is_zero() -> None:
    assert Histogram().percentiles([50.0]) == [0.0]
    assert Histogram().curve() == [(0.0, 0.0)]


def test_what_seems_to_have_taken_less_than_no_time_is_counted_as_none() -> None:
    histogram = Histogram()
    histogram.add(np.array([-5_000_000_000, 3_000], dtype=np.int64))
    assert histogram.percentiles([50.0, 100.0]) == [0.0, pytest.approx(3e-6)]
