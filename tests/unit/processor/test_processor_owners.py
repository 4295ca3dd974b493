"""Two engines that both believe that they own a partition, on a store that stops neither of them."""

from collections.abc import Mapping

from hypothesis import example, given
from hypothesis import strategies as st

from contracts.readings import Reading, Value
from contracts.timeseries import DAY, MINUTE, Days
from processor.engine import Engine
from tests.stores import reading_back
from tests.stores.memory_store import Kept, MemoryStore
from tests.stores.oracle import Name, differences, rollups_of

BEGIN = 1_774_742_400_000_000_000
offsets = st.lists(st.sampled_from([*range(6), MINUTE - 1, MINUTE, MINUTE + 1, 61 * MINUTE]), min_size=1, max_size=5)


class FencedStore(MemoryStore):
    """Knows by the epochs alone whether somebody else has written."""

    epochs: Mapping[int, int] = {}

    def begin(self, epochs: Mapping[int, int]) -> bool:
        same, self.epochs = self.epochs == epochs, dict(epochs)
        return same


def reading(offset: int) -> Reading:
    return Reading("d", BEGIN + offset, 1, {"m": float(offset % 7)})


@given(st.lists(st.tuples(st.booleans(), offsets), max_size=8))
@example([(False, [1, 3]), (True, [5]), (False, [3])])
def test_what_an_older_owner_writes_is_counted_once_when_it_comes_to_the_newer_one(
    writes: list[tuple[bool, list[int]]],
) -> None:
    kept = Kept()
    stale = Kept()  # what the older owner has in place of the newer one's windows
    stale.points = kept.points
    old = Engine(FencedStore(stale), 100, lambda _: Days())
    new = Engine(FencedStore(kept), 100, lambda _: Days())
    late: list[Reading] = []
    expected: dict[tuple[Name, int], Value] = {}
    for by_old, group in writes:
        sent = [reading(offset) for offset in group]
        if by_old:
            old.write([(0, sent)], {0: 1})
            late += sent
        else:
            new.write([(0, sent)], {0: 2})
        expected |= {(("default", "d", "m", float), one.ts): one.values["m"] for one in sent}
    for one in late:  # which is not acknowledged, and comes again
        new.write([(0, [one])], {0: 2})
    points, rollups = reading_back.of_memory(kept)
    assert points == expected
    assert not differences(rollups, rollups_of(expected, Days()))


def test_the_clock_closes_nothing_of_a_partition_that_another_had_meanwhile() -> None:
    kept = Kept()
    engine, other = (Engine(FencedStore(kept), 100, lambda _: Days()) for _ in range(2))
    engine.write([(0, [reading(0), reading(1)])], {0: 1})
    other.write([(0, [reading(2)])], {0: 2})
    assert engine.due(BEGIN + DAY, {0: 3}) == []
    engine.write([(0, [reading(3)])], {0: 3})
    ((_, window),) = [due for due in engine.due(BEGIN + 2 * DAY, {0: 3}) if due[1].tier == "1m"]
    assert window.count == 4


def test_windows_that_an_older_owner_has_stored_are_not_counted_before_their_points_come() -> None:
    kept = Kept()
    old, new = (Engine(FencedStore(kept), 100, lambda _: Days()) for _ in range(2))
    new.write([(0, [reading(0)])], {0: 2})
    old.write([(0, [reading(MINUTE), reading(2 * MINUTE)])], {0: 1})
    for offset in (0, MINUTE, 2 * MINUTE):
        new.write([(0, [reading(offset)])], {0: 2})
    points, rollups = reading_back.of_memory(kept)
    assert not differences(rollups, rollups_of(points, Days()))
