import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.plan.load import SECOND, Load, Phase

factors = st.floats(0, 20)
phases = st.builds(Phase, st.floats(0.5, 100), factors, factors, st.floats(0, 5), st.floats(1, 50))


@given(st.lists(phases, min_size=1, max_size=5), st.floats(0.1, 50))
def test_a_message_is_due_when_the_count_reaches_it(all_phases: list[Phase], rate: float) -> None:
    load = Load(all_phases)
    total = load.count(load.seconds) * rate
    numbers = np.arange(0, total, max(1.0, total / 50))
    due = load.due(numbers / rate)
    assert (np.diff(due) >= 0).all()
    for number, at in zip(numbers.tolist(), due.tolist(), strict=True):
        assert load.count(at / SECOND) * rate == pytest.approx(number, abs=1e-4 * rate + 1e-6 * total)


def test_a_steady_load_spreads_messages_evenly() -> None:
    due = Load([Phase(None)]).due(np.arange(5) / 2)
    assert due.tolist() == [0, SECOND // 2, SECOND, 3 * SECOND // 2, 2 * SECOND]


def test_a_ramp_sends_half_of_what_its_end_would() -> None:
    assert Load([Phase(10, 0, 8)]).count(10) == pytest.approx(40)


def test_a_wave_goes_up_and_down_around_its_factor() -> None:
    load = Load([Phase(60, 1, 1, wave=0.5, period=60)])
    assert load.count(60) == pytest.approx(60, rel=0.01)
    assert load.count(15) < 11
    assert load.count(45) - load.count(15) > 38


def test_a_phase_without_load_sends_nothing_and_is_waited_for() -> None:
    load = Load([Phase(10), Phase(5, 0, 0), Phase(10)])
    assert load.count(15) == load.count(10)
    assert load.due(np.array([10.5])).tolist() == [int(15.5 * SECOND)]
