"""The embedded time-series store: one SQLite database that processor writes and devices_api reads. Pure.

Rows that are written together lie together: a key begins with the time, and a series is found again by one seek for
each minute (or hour, or day) that is asked for. So give both parts of a key: `WHERE minute = ? AND series = ?`.

Points and closed windows are kept in partitions, a table for each profile and span of time, so that old ones are
dropped as tables: `partition` lists them, `partition_name` names them. The windows of a series' newest point are not
there: they change with every commit, and are the columns of one row of `open`, `minute_…`, `hour_…` and `day_…`.

A value's SQLite storage class is REAL for a number, INTEGER 0 or 1 for a boolean, TEXT for text. A window of booleans
or text has a count and the last one, and NULL in the other columns. `sum` and `m2` (of squared deviations from the
mean) are NULL where they are too large for a float.
"""

from collections.abc import Sequence

from contracts.readings import Value
from contracts.timeseries import DAY, Kind, Tier

SCHEMA_VERSION = 2
"""`PRAGMA user_version` of a database with this schema."""

SPANS = {Tier.RAW: DAY, Tier.M1: 7 * DAY, Tier.H1: 91 * DAY, Tier.D1: 1456 * DAY}
"""How much time one partition of a tier holds, in ns, aligned to the epoch."""

AGGREGATES = ("start", "count", "sum", "m2", "min", "max", "first", "last")
"""The columns of a window."""

OPEN_COLUMNS = tuple(f"{width}_{column}" for width in ("minute", "hour", "day") for column in AGGREGATES)
"""The columns of `open` that hold the windows of a series' newest point."""

SCHEMA = f"""
CREATE TABLE IF NOT EXISTS series (
    id      INTEGER PRIMARY KEY,
    profile TEXT NOT NULL,
    device  TEXT NOT NULL,
    metric  TEXT NOT NULL,
    kind    TEXT NOT NULL,
    UNIQUE (device, metric, kind, profile)
);
CREATE TABLE IF NOT EXISTS profile (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS partition (
    tier    TEXT NOT NULL,
    profile INTEGER NOT NULL,
    start   INTEGER NOT NULL,
    name    TEXT NOT NULL UNIQUE,
    PRIMARY KEY (tier, profile, start)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS open (
    series INTEGER PRIMARY KEY,
    newest INTEGER NOT NULL,
    zone   TEXT NOT NULL,
    {", ".join(OPEN_COLUMNS)}
);
CREATE TABLE IF NOT EXISTS writer (
    partition INTEGER PRIMARY KEY,
    token     INTEGER NOT NULL
);
"""

DROPPED = """
CREATE TABLE IF NOT EXISTS dropped (
    profile INTEGER PRIMARY KEY,
    before  INTEGER NOT NULL
)
"""
"""Up to when a profile's points were dropped, whatever it keeps now: older windows cannot be computed anew."""

FROM_EARLIER = """
DROP VIEW IF EXISTS rollup_1m;
DROP TABLE IF EXISTS rollup_1m_open;
DROP TABLE IF EXISTS rollup_1m_closed;
ALTER TABLE series RENAME TO earlier_series;
ALTER TABLE point RENAME TO earlier_point;
"""
"""Makes room for this schema in a store of schema version 1, whose points are then written anew from these tables."""

EARLIER_POINTS = """
SELECT device, metric, ts, value, typeof(value), received, flags
FROM earlier_series JOIN earlier_point ON id = series ORDER BY series, ts
"""


def partition_name(tier: Tier, profile: int, start: int) -> str:
    """Name of the table that holds `tier` of the profile with that id from `start` on, which is a multiple of SPANS."""
    return f"{'point' if tier is Tier.RAW else f'rollup_{tier}'}_{profile}_{start // SPANS[tier]}"


def partition_schema(tier: Tier, name: str) -> str:
    """Give the SQL that makes a partition."""
    if tier is Tier.RAW:
        return f"""
CREATE TABLE IF NOT EXISTS {name} (
    minute   INTEGER NOT NULL,
    series   INTEGER NOT NULL,
    ts       INTEGER NOT NULL,
    value    NOT NULL,
    received INTEGER NOT NULL,
    flags    TEXT,
    PRIMARY KEY (minute, series, ts)
) WITHOUT ROWID"""
    return f"""
CREATE TABLE IF NOT EXISTS {name} (
    start  INTEGER NOT NULL,
    series INTEGER NOT NULL,
    count  INTEGER NOT NULL,
    sum, m2, min, max, first, last,
    PRIMARY KEY (start, series)
) WITHOUT ROWID"""


_MOST_IN_VIEW = 400
"""SQLite joins at most 500 tables in one view."""

_NAMES = "profile, device, metric, kind"


def views(tier: Tier, names: Sequence[str]) -> list[str]:
    """Give the SQL that makes a tier's view anew, for people: `point`, `rollup_1m`, `rollup_1h` or `rollup_1d`.

    It holds the partitions of `names`, of which the newest come first and count, and the open windows.
    """
    view = "point" if tier is Tier.RAW else f"rollup_{tier}"
    columns = "ts, value, received, flags, minute" if tier is Tier.RAW else ", ".join(AGGREGATES)
    parts = [f"SELECT {_NAMES}, {columns} FROM {name} JOIN series ON id = series" for name in names[:_MOST_IN_VIEW]]
    if tier is not Tier.RAW:
        width = {Tier.M1: "minute", Tier.H1: "hour", Tier.D1: "day"}[tier]
        opened = ", ".join(f"{width}_{column} AS {column}" for column in AGGREGATES)
        parts.append(f"SELECT {_NAMES}, {opened} FROM open JOIN series ON id = series")
    if not parts:
        nothing = ", ".join(f"NULL AS {column}" for column in columns.split(", "))
        parts.append(f"SELECT {_NAMES}, {nothing} FROM series WHERE 0")
    return [f"DROP VIEW IF EXISTS {view}", f"CREATE VIEW {view} AS {' UNION ALL '.join(parts)}"]


def to_kind(kind: Kind, value: float | str) -> Value:
    """Turn a stored value into what was written: SQLite hands booleans back as integers."""
    return bool(value) if kind is bool else value
