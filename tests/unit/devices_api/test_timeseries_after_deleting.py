"""What is asked of a store in which everything newer than some windows was deleted."""

from contextlib import closing
from pathlib import Path

from contracts.deletions import LATEST, Deletion
from contracts.readings import Reading
from contracts.timeseries import DAY, HOUR, Days, Tier
from devices_api.telemetry.sqlite import SqliteTimeSeries
from devices_api.telemetry.windows import Aggregate, Every, Query
from processor.engine import Engine
from processor.sqlite import SqliteStore

BEGIN = 1_774_742_400_000_000_000


async def test_windows_of_expired_points_are_found_when_all_points_are_deleted(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    store = SqliteStore(path, 1)
    with closing(Engine(store, 1000, lambda _: Days())) as engine:
        readings = [Reading("d", BEGIN + hour * HOUR, 0, {"m": float(hour)}) for hour in range(72)]
        engine.write([(0, readings)], {0: 1})
        store.drop("default", Tier.RAW, BEGIN + DAY)
        engine.delete(0, Deletion(1, "x", "d", [], BEGIN + DAY, LATEST, 1), {0: 1})
    series = SqliteTimeSeries(path)
    query = Query("d", "m", Aggregate.SUM, BEGIN, BEGIN + 3 * DAY, Every(DAY), Days())
    assert (await series.windows(query)).windows == [(BEGIN, float(sum(range(24))))]
    assert await series.latest("d") == {}
    assert await series.kept("d", "m", BEGIN) == []
    await series.close()
