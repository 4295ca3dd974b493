"""The embedded time-series store: one SQLite database that processor writes and devices_api reads.

A point is `(series, ts)`; writing it twice changes nothing but the last write wins. A value's type is its SQLite
storage class: REAL is a number, INTEGER 0 or 1 a boolean, TEXT text. Columns that hold values have no affinity, so
SQLite never converts one into another. Times are ns since 1970 UTC.

Read rollups from the view `rollup_1m`. Behind it are two tables, because the windows that change with every commit
lie side by side in one of them: `rollup_1m_open` holds the window of each series' newest point, and
`rollup_1m_closed` all older ones. A window without a numeric point has no row.
"""

from contracts.readings import Value

ROLLUP_WIDTH = 60_000_000_000
"""Width of a rollup's window in ns: one minute, aligned to the epoch."""

SCHEMA_VERSION = 1
"""`PRAGMA user_version` of a database with this schema."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS series (
    id     INTEGER PRIMARY KEY,
    device TEXT NOT NULL,
    metric TEXT NOT NULL,
    UNIQUE (device, metric)
);
CREATE TABLE IF NOT EXISTS point (
    series   INTEGER NOT NULL,
    ts       INTEGER NOT NULL,
    value    NOT NULL,
    received INTEGER NOT NULL,
    flags    TEXT,
    PRIMARY KEY (series, ts)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rollup_1m_open (
    series INTEGER PRIMARY KEY,
    start  INTEGER NOT NULL,
    count  INTEGER NOT NULL,
    sum    REAL NOT NULL,
    min    REAL NOT NULL,
    max    REAL NOT NULL,
    first  REAL NOT NULL,
    last   REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS rollup_1m_closed (
    series INTEGER NOT NULL,
    start  INTEGER NOT NULL,
    count  INTEGER NOT NULL,
    sum    REAL NOT NULL,
    min    REAL NOT NULL,
    max    REAL NOT NULL,
    first  REAL NOT NULL,
    last   REAL NOT NULL,
    PRIMARY KEY (series, start)
) WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS rollup_1m AS
    SELECT series, start, count, sum, min, max, first, last FROM rollup_1m_closed
    UNION ALL
    SELECT series, start, count, sum, min, max, first, last FROM rollup_1m_open;
"""

IS_BOOLEAN = "typeof(value) = 'integer'"
"""SQL: the value is a boolean, not a number."""


def from_sql(value: float | str) -> Value:
    """Turn a stored value into what was written: SQLite hands booleans back as integers."""
    return bool(value) if isinstance(value, int) else value
