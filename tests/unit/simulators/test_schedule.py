"""When messages are due."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from simulators.fleet import fleet
from simulators.schedule import SECOND, Schedule


@given(devices=st.integers(1, 60), rate=st.integers(1, 20), seconds=st.integers(1, 10), seed=st.integers())
def test_each_device_sends_at_its_rate_and_the_load_is_even(devices: int, rate: int, seconds: int, seed: int) -> None:
    schedule = Schedule(fleet(1, devices), rate, seconds, seed)
    total = devices * rate * seconds
    assert schedule.total == total
    assert set(Counter(schedule.device(n) for n in range(total)).values()) == {rate * seconds}
    gaps = {schedule.due_at(n + 1) - schedule.due_at(n) for n in range(total)}
    assert max(gaps) - min(gaps) < 1000
    assert schedule.due_at(total) == seconds * SECOND
    assert [schedule.turn(n) for n in (0, devices - 1, devices)] == [0, 0, 1]


def test_the_order_is_the_seeds() -> None:
    def order(seed: int) -> list[int]:
        return [Schedule(fleet(1, 50), 1, 1, seed).device(n).index for n in range(50)]

    assert order(1) == order(1) != order(2)


def test_flat_out_ends_by_time_and_endless_never() -> None:
    flat_out, endless = Schedule(fleet(1, 2), 0, 5, 1), Schedule(fleet(1, 2), 1, 0, 1)
    assert flat_out.total is None
    assert not flat_out.over(10**9, 5 * SECOND - 1)
    assert flat_out.over(0, 5 * SECOND)
    assert not endless.over(10**9, 10**18)
