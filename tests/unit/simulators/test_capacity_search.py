"""The search for the highest rate that holds, driven by a system that is made up."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from simulators.capacity.search import Found, search


@dataclass
class Step:
    rate: float
    troubles: list[str]


@dataclass
class Made:
    """Holds up to `most` messages a second; the times in `moods` it does not even so, counted from 0."""

    most: float
    moods: frozenset[int] = frozenset()
    tried: list[float] = field(default_factory=list)

    async def run(self, rate: float) -> Step:
        self.tried.append(rate)
        holds = rate <= self.most and len(self.tried) - 1 not in self.moods
        return Step(rate, [] if holds else ["too much"])


async def found(made: Made, low: float = 1000, high: float = 50_000, within: float = 0.1) -> Found[Step]:
    return await search(made.run, low, high, within)


async def test_rates_are_doubled_then_the_gap_is_halved_and_the_best_is_tried_again() -> None:
    made = Made(most=13_200)
    result = await found(made)
    assert made.tried == [1000, 2000, 4000, 8000, 16_000, 12_000, 14_000, 13_000, 13_000]
    assert (result.rate, result.capped) == (13_000, False)


async def test_a_system_that_holds_everything_is_only_known_to_hold_the_highest_rate() -> None:
    made = Made(most=1e9)
    result = await found(made, low=1000, high=5000)
    assert made.tried == [1000, 2000, 4000, 5000, 5000]
    assert (result.rate, result.capped) == (5000, True)


async def test_one_rate_alone_is_tried_twice() -> None:
    made = Made(most=20_000)
    assert (await found(made, low=15_000, high=15_000)).rate == 15_000
    assert made.tried == [15_000, 15_000]


async def test_where_the_first_rate_does_not_hold_there_is_no_answer() -> None:
    made = Made(most=500)
    assert await found(made) == Found(None, 0.0, capped=False)
    assert made.tried == [1000]


async def test_a_rate_that_held_by_luck_is_not_believed() -> None:
    made = Made(most=9000, moods=frozenset({4}))  # the time when 8000 is to be confirmed
    result = await found(made, high=8000)
    assert made.tried == [1000, 2000, 4000, 8000, 8000, 6000, 7000, 7500, 7500]
    assert (result.rate, result.capped) == (7500, False)


@given(st.floats(500, 60_000), st.frozensets(st.integers(0, 40), max_size=4), st.sampled_from([0.02, 0.1, 0.5]))
async def test_whatever_holds_the_search_ends_with_a_rate_that_held_twice(
    most: float, moods: frozenset[int], within: float
) -> None:
    made = Made(most, moods)
    result = await found(made, within=within)
    assert len(made.tried) < 60
    if result.best is not None:
        assert result.rate <= most
        assert made.tried.count(result.rate) >= 2
        if not moods and not result.capped:
            assert result.rate * (1 + within) * 1.06 >= most
