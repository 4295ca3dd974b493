"""A store that an earlier version has made."""

import sqlite3
from contextlib import closing
from pathlib import Path

from contracts.readings import Value
from contracts.timeseries import MINUTE, Days
from processor.engine import Engine
from processor.sqlite import SqliteStore
from processor.upgrade import upgrade
from tests.stores.oracle import Name, differences, rollups_of
from tests.stores.reading_back import of_sqlite

EARLIER = """
CREATE TABLE series (id INTEGER PRIMARY KEY, device TEXT NOT NULL, metric TEXT NOT NULL, UNIQUE (device, metric));
CREATE TABLE point (series INTEGER NOT NULL, ts INTEGER NOT NULL, value NOT NULL, received INTEGER NOT NULL, flags TEXT,
    PRIMARY KEY (series, ts)) WITHOUT ROWID;
CREATE TABLE rollup_1m_open (series INTEGER PRIMARY KEY, start INTEGER NOT NULL);
CREATE TABLE rollup_1m_closed (series INTEGER NOT NULL, start INTEGER NOT NULL, PRIMARY KEY (series, start));
CREATE VIEW rollup_1m AS SELECT * FROM rollup_1m_closed UNION ALL SELECT * FROM rollup_1m_open;
PRAGMA user_version = 1;
"""

BEFORE: dict[str, list[Value]] = {"m": [1.5, "text", True], "n": [2.5, 3.5]}


def test_every_point_of_an_earlier_store_is_kept_and_gets_its_rollups(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    expected: dict[tuple[Name, int], Value] = {}
    with closing(sqlite3.connect(path)) as db:
        db.executescript(EARLIER)
        for id_, (metric, values) in enumerate(BEFORE.items()):
            db.execute("INSERT INTO series VALUES (?, 'd', ?)", (id_, metric))
            for number, value in enumerate(values):
                db.execute('INSERT INTO point VALUES (?, ?, ?, 7, \'{"clock":"1970"}\')', (id_, number * MINUTE, value))
                expected[("default", "d", metric, value.__class__), number * MINUTE] = value
        db.commit()
    for count in (5, 0):
        engine = Engine(SqliteStore(path, 1), 1000, lambda _: Days())
        engine.open()
        assert upgrade(path, engine) == count
        engine.close()
        points, rollups = of_sqlite(path)
        assert points == expected
        assert not differences(rollups, rollups_of(expected, Days()))
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT DISTINCT received, flags FROM point").fetchall() == [(7, '{"clock":"1970"}')]
