"""Points that the store never takes leave nothing behind."""

from contracts.readings import Reading
from contracts.timeseries import MINUTE, Days
from processor.engine import Engine
from tests.stores import reading_back
from tests.stores.memory_store import REFUSED, Kept, MemoryStore
from tests.stores.oracle import differences, rollups_of

BEGIN = 1_774_742_400_000_000_000


def reading(minute: int, *, refused: bool = False) -> Reading:
    return Reading("d", BEGIN + minute * MINUTE, 1, {"m": float(minute)}, {REFUSED: ""} if refused else {})


def test_a_window_whose_points_are_all_refused_is_not_stored_by_a_newer_one() -> None:
    kept = Kept()
    engine = Engine(MemoryStore(kept), 100, lambda _: Days())
    engine.write([(0, [reading(0)])], {0: 1})
    engine.write([(0, [reading(1, refused=True), reading(70, refused=True), reading(140)])], {0: 1})
    points, rollups = reading_back.of_memory(kept)
    assert not differences(rollups, rollups_of(points, Days()))
