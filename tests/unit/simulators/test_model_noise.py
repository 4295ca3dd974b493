"""Randomness by hashing, for many devices at once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulators.models import noise

COUNT = 100_000
whole = st.integers(-(2**63), 2**63 - 1)
UNIFORM = [0.2111705983236487, 0.24404068896841602, 0.1245198033253645]
NORMAL = [-0.8763855709683834, -1.6262819579001357, 0.16446765404512215]


def test_known_numbers_of_a_seed_stay_as_they_are() -> None:
    devices, ts = np.array([0, 1, 2]), np.array([1_795_000_000_000_000_000] * 3)
    assert noise.uniform(1, 7, devices, ts).tolist() == UNIFORM
    assert noise.normal(1, 7, devices, ts).tolist() == NORMAL


@given(seed=whole, number=st.integers(0, 2**64 - 1), pairs=st.lists(st.tuples(whole, whole), min_size=1, max_size=20))
def test_a_number_depends_on_nothing_beside_it(seed: int, number: int, pairs: list[tuple[int, int]]) -> None:
    devices, counters = (np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))
    together = noise.uniform(seed, number, devices, counters).tolist()
    alone = [noise.uniform(seed, number, devices[[n]], int(counters[n]))[0] for n in range(len(pairs))]
    assert together == alone
    assert all(0 <= one < 1 for one in together)
    assert bool(np.all(np.abs(noise.normal(seed, number, devices, counters)) < 3.5))


def test_numbers_are_spread_evenly_and_neighbours_have_nothing_in_common() -> None:
    for by in (
        noise.uniform(3, 1, np.arange(COUNT), 0),
        noise.uniform(3, 1, np.array([4]), np.arange(COUNT) * 1_000_000_000),
    ):
        shares = np.histogram(by, 16, (0, 1))[0] / COUNT
        assert np.all(np.abs(shares - 1 / 16) < 0.004)
        assert abs(np.corrcoef(by[:-1], by[1:])[0, 1]) < 0.02


def test_another_seed_stream_or_device_gives_other_numbers() -> None:
    devices = np.arange(1000)
    first = noise.uniform(1, 1, devices, 0)
    for other in (noise.uniform(2, 1, devices, 0), noise.uniform(1, 2, devices, 0), noise.uniform(1, 1, devices, 1)):
        assert not set(first.tolist()) & set(other.tolist())


def test_the_bell_has_mean_0_and_deviation_1() -> None:
    bell = noise.normal(9, noise.stream("bell"), np.arange(COUNT), 0)
    assert abs(bell.mean()) < 0.02
    assert abs(bell.std() - 1) < 0.02
