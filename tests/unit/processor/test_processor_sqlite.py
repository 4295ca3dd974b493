"""The store's behaviour apart from the law."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from contracts.readings import Reading, Value
from contracts.sqlite_layout import SCHEMA_VERSION
from contracts.timeseries import DAY, MINUTE, Days, Tier
from processor.engine import Engine, Written
from processor.series import Stale
from processor.sqlite import SqliteStore, check
from processor.store import NewerSchemaError, StoreUnavailableError

NOW = 1_700_000_040_000_000_000  # the start of a minute


class TimeSeries:
    """A store and the engine that writes to it; each has a token of its own, as two processes have."""

    tokens = 0

    def __init__(self, path: Path, most_series: int = 1000) -> None:
        TimeSeries.tokens += 1
        self.store = SqliteStore(path, TimeSeries.tokens)
        self.engine = Engine(self.store, most_series, lambda _: Days())

    def write(self, readings: list[Reading]) -> Written:
        return self.engine.write([(0, readings)], {0: 1})

    def open(self) -> None:
        self.engine.open()

    def close(self) -> None:
        self.engine.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made" / "store.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[TimeSeries]:
    store = TimeSeries(path)
    yield store
    store.close()


def at(second: float, value: Value = 1.0, device: str = "d", metric: str = "m") -> Reading:
    return Reading(device, NOW + int(second * 1e9), NOW, {metric: value})


def connection(store: TimeSeries) -> sqlite3.Connection:
    """Give what no other connection can ask or set: it belongs to the one."""
    db = store.store._db  # noqa: SLF001 - as above
    assert db is not None
    return db


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def test_types_times_and_flags_are_kept(store: TimeSeries, path: Path) -> None:
    store.write([Reading("d", NOW, NOW + 1, {"n": 1.0, "b": True, "t": "\x00ü"}, {"clock": "1970"})])
    assert rows(path, "SELECT metric, ts, value, typeof(value), received, flags FROM point") == [
        ("n", NOW, 1.0, "real", NOW + 1, '{"clock":"1970"}'),
        ("b", NOW, 1, "integer", NOW + 1, '{"clock":"1970"}'),
        ("t", NOW, "\x00ü", "text", NOW + 1, '{"clock":"1970"}'),
    ]


def test_points_in_order_only_extend(store: TimeSeries) -> None:
    for second in range(0, 200, 7):
        written = store.write([at(second), at(second + 1)])
        assert not written.recomputed
        assert written.extended >= 1


def test_why_a_window_was_computed_anew_is_told(store: TimeSeries) -> None:
    store.write([at(10)])
    assert store.write([at(10)]).recomputed == {Stale.DUPLICATE: 1}
    assert store.write([at(5)]).recomputed == {Stale.LATE: 1}
    store.close()
    assert not store.write([at(11)]).recomputed, "what is committed is true"


def test_how_late_a_point_is_is_told(store: TimeSeries) -> None:
    store.write([at(10)])
    assert store.write([at(10), at(4)]).late == [(Stale.DUPLICATE, 0), (Stale.LATE, 6_000_000_000)]


def test_a_late_point_corrects_a_closed_window(store: TimeSeries, path: Path) -> None:
    store.write([at(1, 1.0), at(70, 5.0)])
    store.write([at(2, 2.0)])
    assert rows(path, "SELECT start, count, sum, min, max, first, last FROM rollup_1m ORDER BY start") == [
        (NOW, 2, 3.0, 1.0, 2.0, 1.0, 2.0),
        (NOW + MINUTE, 1, 5.0, 5.0, 5.0, 5.0, 5.0),
    ]


def test_a_number_that_became_text_is_kept_beside_it(store: TimeSeries, path: Path) -> None:
    store.write([at(1, 1.0)])
    store.write([at(1, "broken")])
    assert rows(path, "SELECT kind, count, last FROM rollup_1m ORDER BY kind") == [
        ("number", 1, 1.0),
        ("text", 1, "broken"),
    ]


def test_windows_that_are_too_large_for_a_float_say_so(store: TimeSeries, path: Path) -> None:
    store.write([at(1, 1.5e308)])
    store.write([at(2, 1.5e308), at(3, 1.0)])
    store.write([at(62, 1.0)])
    assert rows(path, "SELECT count, sum, m2, max FROM rollup_1m ORDER BY start") == [
        (3, None, None, 1.5e308),
        (1, 1.0, 0.0, 1.0),
    ]


def test_points_of_many_days_are_in_partitions_that_are_dropped_as_a_whole(store: TimeSeries, path: Path) -> None:
    day = NOW - NOW % DAY
    store.write([Reading("d", day + number * DAY, NOW, {"m": float(number)}) for number in range(5)])
    store.write([Reading("e", day, NOW, {"m": 1.0}, {}, "other")])
    assert rows(path, "SELECT count(*) FROM partition WHERE tier = 'raw'") == [(6,)]
    assert store.store.drop("default", Tier.RAW, day + 2 * DAY + 5) == 2
    assert store.store.drop("default", Tier.RAW, day + 2 * DAY + 5) == 0
    assert store.store.drop("nobody", Tier.RAW, day + 9 * DAY) == 0
    assert rows(path, "SELECT profile, value FROM point ORDER BY profile, ts") == [
        *[("default", float(number)) for number in range(2, 5)],
        ("other", 1.0),
    ]
    assert rows(path, "SELECT count(*) FROM rollup_1d") == [(6,)]
    store.write([Reading("d", day + 4 * DAY, NOW, {"m": 9.0})])
    assert rows(path, "SELECT count(*) FROM point") == [(4,)]


def test_windows_of_points_that_were_dropped_are_not_computed_anew(store: TimeSeries, path: Path) -> None:
    day = NOW - NOW % DAY
    store.write([Reading("d", day + second, NOW, {"m": 1.0}) for second in (1, 2, 3, 9 * DAY)])
    store.store.drop("default", Tier.RAW, day + DAY)
    for _ in range(2):
        late = Reading("d", day + 4, NOW, {"m": 1.0})
        written = store.write([late, Reading("d", day + 3 * DAY, NOW, {"m": 1.0})])
        assert [reading for _, reading, _ in written.refused] == [late]
        assert rows(path, "SELECT count FROM rollup_1h ORDER BY start") == [(3,), (1,), (1,)]
        store.close()


def test_what_another_process_has_dropped_is_made_again(store: TimeSeries, path: Path) -> None:
    day = NOW - NOW % DAY
    store.write([Reading("d", day, NOW, {"m": 1.0}), Reading("d", day + 9 * DAY, NOW, {"m": 2.0})])
    other = TimeSeries(path)
    assert other.store.drop("default", Tier.M1, day + 7 * DAY) == 1
    other.close()
    with pytest.raises(StoreUnavailableError, match="no such table"):
        store.write([Reading("d", day + 1, NOW, {"m": 3.0})])
    store.write([Reading("d", day + 1, NOW, {"m": 3.0})])
    assert rows(path, "SELECT value FROM point ORDER BY ts") == [(1.0,), (3.0,), (2.0,)]


def test_what_another_process_has_dropped_is_noticed(store: TimeSeries, path: Path) -> None:
    day = NOW - NOW % DAY
    store.write([Reading("d", day, NOW, {"m": 1.0}), Reading("d", day + 9 * DAY, NOW, {"m": 2.0})])
    other = TimeSeries(path)
    assert other.store.drop("default", Tier.RAW, day + DAY) == 1
    other.close()
    with pytest.raises(StoreUnavailableError, match="no such table"):
        store.write([Reading("d", day + 1, NOW, {"m": 3.0})])
    assert store.write([Reading("d", day + 1, NOW, {"m": 3.0})]).refused
    assert rows(path, "SELECT value FROM point ORDER BY ts") == [(2.0,)]


def test_memory_is_bounded(path: Path) -> None:
    store = TimeSeries(path, 100)
    for number in range(400):
        store.write([at(number, device=f"d{number}")])
        assert store.engine.series_known <= 101
    store.close()


def test_what_memory_holds_is_trusted_by_nobody_after_another_writer(store: TimeSeries, path: Path) -> None:
    store.write([at(1)])
    other = TimeSeries(path)
    other.write([at(2)])
    store.write([at(3)])
    other.close()
    assert rows(path, "SELECT count FROM rollup_1m") == [(3,)]


def test_readers_and_the_writer_do_not_block_each_other(store: TimeSeries, path: Path) -> None:
    store.write([at(1)])
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=0)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM point").fetchone() == (1,)
        store.write([at(2)])
        assert reader.execute("SELECT count(*) FROM point").fetchone() == (1,)
        reader.execute("ROLLBACK")
        assert reader.execute("SELECT count(*) FROM point").fetchone() == (2,)


def test_a_lock_held_by_another_makes_it_unavailable_until_it_is_let_go(
    store: TimeSeries, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processor.sqlite._BUSY_S", 0.01)
    store.write([at(1)])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        store.close()
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match="locked"):
            store.write([at(2)])
    store.write([at(2)])
    assert rows(path, "SELECT count FROM rollup_1m") == [(2,)]


def test_a_full_store_keeps_what_it_has_and_goes_on_later(store: TimeSeries, path: Path) -> None:
    store.write([at(1)])
    connection(store).execute("PRAGMA max_page_count = 1")  # as a full disk would
    with pytest.raises(StoreUnavailableError, match="full"):
        store.write([at(number, device=f"device-{number}") for number in range(5000)])
    assert rows(path, "SELECT count(*) FROM point") == [(1,)]
    store.write([at(2)])
    assert rows(path, "SELECT count FROM rollup_1m") == [(2,)]


def test_a_file_that_was_removed_is_not_written_on(store: TimeSeries, path: Path) -> None:
    store.write([at(1)])
    path.unlink()
    with pytest.raises(StoreUnavailableError):
        store.write([at(2)])
    store.write([at(2)])
    assert rows(path, "SELECT count(*) FROM point") == [(1,)]


def test_memory_does_not_outlive_a_file_that_an_earlier_copy_replaces(store: TimeSeries, path: Path) -> None:
    store.write([at(1)])
    store.close()
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    store.write([at(2)])
    for name in (path, *path.parent.glob(f"{path.name}-*")):
        name.unlink()
    copy.rename(path)
    with pytest.raises(StoreUnavailableError, match="replaced"):
        store.store.drop("default", Tier.RAW, 0)
    assert store.store.drop("default", Tier.RAW, 0) == 0
    store.write([at(3)])
    assert rows(path, "SELECT count FROM rollup_1m") == [(2,)]


def test_a_file_that_is_no_database_makes_it_unavailable(store: TimeSeries, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database at all, by any means" * 100)
    with pytest.raises(StoreUnavailableError, match="not a database"):
        store.write([at(1)])


def test_a_value_that_cannot_be_stored_undoes_the_whole_write(store: TimeSeries, path: Path) -> None:
    store.write([at(1)])
    with pytest.raises(sqlite3.IntegrityError):
        store.write([at(2), at(3, float("nan"))])
    assert rows(path, "SELECT count FROM rollup_1m") == [(1,)]


def test_a_newer_schema_is_refused(store: TimeSeries, path: Path) -> None:
    check(path)
    store.open()
    check(path)
    store.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    for refused in (lambda: check(path), store.open, lambda: store.write([at(1)])):
        with pytest.raises(NewerSchemaError, match=f"schema version {SCHEMA_VERSION + 1}"):
            refused()


def test_every_commit_is_synced_and_logged(store: TimeSeries) -> None:
    store.open()
    assert connection(store).execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection(store).execute("PRAGMA journal_mode").fetchone() == ("wal",)
