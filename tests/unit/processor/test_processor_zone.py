"""Days of a device whose time zone is changed."""

from contracts.readings import Reading
from contracts.timeseries import DAY, HOUR, Days, Tier
from processor.engine import Engine
from tests.stores import reading_back
from tests.stores.memory_store import Kept, MemoryStore

BEGIN = 1_774_742_400_000_000_000
NAME = ("default", "d", "m", float)


def reading(hour: int) -> Reading:
    return Reading("d", BEGIN + hour * HOUR, 1, {"m": float(hour)})


def test_a_late_point_of_the_day_in_which_the_zone_was_changed_counts_in_that_day() -> None:
    kept = Kept()
    zone = Days()
    engine = Engine(MemoryStore(kept), 100, lambda _: zone)
    engine.write([(0, [reading(5)])], {0: 1})
    zone = Days("Asia/Kolkata")
    engine.write([(0, [reading(2), reading(30)])], {0: 1})
    _, rollups = reading_back.of_memory(kept)
    assert rollups[Tier.D1, NAME, BEGIN][0] == 2
    assert rollups[Tier.D1, NAME, BEGIN + DAY - 5 * HOUR - HOUR // 2][0] == 1
