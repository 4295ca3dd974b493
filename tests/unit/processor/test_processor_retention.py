"""What is kept, for how long, and what comes too late."""

from pathlib import Path
from random import Random

from contracts import logs
from contracts.devices import DeviceRecord, Retention
from contracts.readings import Reading
from contracts.timeseries import DAY, Days, Tier
from processor.engine import Engine
from processor.metrics import Metrics
from processor.retention import Retentions, divide
from processor.sqlite import SqliteStore
from processor.tidying import Tidying
from processor.writer import Writer
from tests.stores.reading_back import of_sqlite

NOW = 20_000 * DAY + 5


def retentions(**kept: int) -> Retentions:
    known = Retentions()
    known.learn(DeviceRecord(1, "d", enabled=True, profile="pump", retention=Retention(**kept)))
    return known


def reading(age: int, profile: str = "pump") -> Reading:
    return Reading("d", NOW - age, NOW, {"m": 1.0}, {}, profile)


def test_readings_older_than_raw_points_are_kept_come_too_late() -> None:
    young, old, other = reading(5 * DAY), reading(5 * DAY + 1), reading(900 * DAY, "other")
    assert divide([young, old, other, young], retentions(raw=5), NOW) == ([young, other, young], [old])
    assert divide([young, other], retentions(raw=5), NOW) == ([young, other], [])
    assert divide([old], retentions(raw=0), NOW) == ([old], []), "0 is for ever"


def test_of_a_profile_of_which_nothing_is_known_everything_is_kept() -> None:
    assert Retentions().due(NOW) == []
    assert Retentions().oldest("pump", NOW) == 0


def test_each_tier_has_its_own_age_and_a_margin_for_the_days_of_late_points() -> None:
    assert retentions(raw=1, m1=2, h1=3, d1=0).due(NOW) == [
        ("pump", Tier.RAW, NOW - 3 * DAY),
        ("pump", Tier.M1, NOW - 4 * DAY),
        ("pump", Tier.H1, NOW - 5 * DAY),
    ]


def test_a_changed_retention_replaces_the_one_before() -> None:
    known = retentions(raw=5)
    known.learn(DeviceRecord(1, "e", enabled=True, profile="pump", retention=Retention(raw=50)))
    assert known.oldest("pump", NOW) == NOW - 50 * DAY


async def test_what_is_too_old_is_dropped_while_everything_runs(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    store = SqliteStore(path, 1)
    metrics = Metrics()
    writer = Writer(Engine(store, 1000, lambda _: Days()), store, metrics, Random(1), logs.quiet())
    tidying = Tidying(writer, retentions(raw=2), lambda: NOW, 1, metrics, logs.quiet())
    ages = [0, 1, 3, 4, 5, 9]
    batch = [reading(age * DAY) for age in reversed(ages)]
    await writer.write([(0, batch), (0, [reading(9 * DAY, "other")])], {0: 1})
    await tidying.turn()
    await writer.write([(0, [reading(DAY - 1)])], {0: 1})
    await writer.close()
    points, rollups = of_sqlite(path)
    kept = {(name[0], (NOW - ts) // DAY) for name, ts in points}
    assert kept == {("pump", 0), ("pump", 1), ("pump", 3), ("pump", 4), ("other", 9)}
    assert sum(tier is Tier.D1 for tier, _, _ in rollups) == len(ages) + 1, "windows are kept for longer"
    assert metrics.registry.get_sample_value("processor_partitions_dropped_total", {"tier": "raw"}) == 2
