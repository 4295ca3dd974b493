"""A registry of many devices and a day of what they have sent, in files as the services keep them.

Two fifths of the points are of devices that speak once a minute; the other devices share what is left evenly. Each has
three metrics. Points and windows are made by SQLite itself, in the order of their keys and by
the layout that processor writes, since to send them would take hours. A file that is there already is used again.
"""

import asyncio
import contextlib
import json
import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import delete, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.sqlite_layout import (
    AGGREGATES,
    DROPPED,
    OPEN_COLUMNS,
    SCHEMA,
    SCHEMA_VERSION,
    SPANS,
    partition_name,
    partition_schema,
)
from contracts.timeseries import DAY, HOUR, MINUTE, ROLLUPS, Tier
from devices_api import database
from devices_api.registry.devices import NewDevice
from devices_api.registry.rows import register
from devices_api.tables import activity, group, outbox, presence

END = 1_772_452_800_000_000_000
"""2026-03-02T12:00:00Z: the last day ends here, at noon, and so is in two partitions."""
MINUTES = 1440
START = END - MINUTES * MINUTE

PROFILES = ("boiler", "meter", "pump", "weather")
METRICS = ("flow", "pressure", "temperature")
SITES = 100
REGIONS = 10
DONE = "fleet.json"

_SECOND = 1_000_000_000
_AT_ONCE = 1000
_PAGE_BYTES = 8192
# A value is a function of its minute and series, and a multiple of 1/8, so that no sum of a day is rounded.
_VALUE = "(20.0 + ({minute} * 7 + {series} * 13) % 160 * 0.125)"


@dataclass(frozen=True)
class Fleet:
    """How many devices there are, and how many of them, the first ones, speak once a minute; the others every `every`.

    Devices are numbered from 0.
    """

    devices: int
    busy: int
    every: int

    @classmethod
    def of(cls, devices: int, points: int) -> "Fleet":
        """Divide so many points: two fifths are of those that speak once a minute."""
        busy = max(1, min(devices, round(points * 0.4 / MINUTES / len(METRICS))))
        quiet = max(1, devices - busy)
        left = max(1, points - busy * MINUTES * len(METRICS))
        return cls(devices, busy, max(1, min(MINUTES // 2, round(MINUTES * len(METRICS) * quiet / left))))

    @property
    def ids(self) -> list[str]:
        """Name all devices, in order."""
        return [device_id(number) for number in range(self.devices)]

    @property
    def talkative(self) -> list[str]:
        """Name the devices that speak once a minute."""
        return [device_id(number) for number in range(self.busy)]


def device_id(number: int) -> str:
    """Name a device."""
    return f"{PROFILES[number % len(PROFILES)]}-{number:06}"


def site(number: int) -> str:
    """Name the site of a device."""
    return f"site-{number // len(PROFILES) % SITES:02}"


def made(directory: Path, fleet: Fleet) -> int:
    """Make both databases in `directory` if they are not there yet, and return how many points the store has.

    Raises FileExistsError if another fleet's are there.
    """
    directory.mkdir(parents=True, exist_ok=True)
    done = directory / DONE
    if done.exists():
        known: dict[str, int] = json.loads(done.read_text())
        points = known.pop("points")
        if known != asdict(fleet):
            raise FileExistsError(f"{directory} has another fleet, of {known}: name another directory")
        return points
    for name in ("registry.sqlite3", "timeseries.sqlite3"):
        for part in ("", "-wal", "-shm", "-journal"):
            (directory / f"{name}{part}").unlink(missing_ok=True)
    asyncio.run(_registry(directory / "registry.sqlite3", fleet))
    points = _timeseries(directory / "timeseries.sqlite3", fleet)
    done.write_text(json.dumps(asdict(fleet) | {"points": points}))
    return points


async def _registry(path: Path, fleet: Fleet) -> None:
    engine = database.connect(f"sqlite+aiosqlite:///{path}")
    await database.migrate(engine)
    async with engine.begin() as db:
        await db.execute(insert(group), [_group(f"region-{number}", None) for number in range(REGIONS)])
        groups = [_group(f"site-{number:02}", f"region-{number % REGIONS}") for number in range(SITES)]
        await db.execute(insert(group), groups)
        for first in range(0, fleet.devices, _AT_ONCE):
            await _devices(db, range(first, min(first + _AT_ONCE, fleet.devices)))
        await db.execute(delete(outbox))  # as it is once the stream server has been told
    await engine.dispose()


def _group(id_: str, parent: str | None) -> dict[str, object]:
    path = f"/{id_}/" if parent is None else f"/{parent}/{id_}/"
    return {"id": id_, "name": id_, "parent": parent, "path": path, "created": START, "updated": START}


async def _devices(db: AsyncConnection, numbers: range) -> None:
    new = [
        NewDevice(
            device_id(number),
            f"{PROFILES[number % len(PROFILES)].title()} {number} of {site(number)}",
            PROFILES[number % len(PROFILES)],
            {"site": site(number), "line": f"line-{number % 7}", "serial": f"{number * 7919 % 1_000_003:06}"},
            groups=[site(number)],
            attributes={"installed": 2015 + number % 10, "maker": f"maker-{number % 13}"},
            latitude=45 + number % SITES / 50,
            longitude=5 + number % 97 / 50,
        )
        for number in numbers
    ]
    await register(db, new, START)
    rows = [
        {"device": device_id(number), "online": number % 10 != 0, "changed": START + number * _SECOND, "at": END}
        for number in numbers
    ]
    await db.execute(insert(presence), rows)
    seen = [
        {"device": device_id(number), "last_seen": END - number % 86_400 * _SECOND, "messages": number}
        for number in numbers
    ]
    await db.execute(insert(activity), seen)


def _timeseries(path: Path, fleet: Fleet) -> int:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        # A file that is not finished is of no use, so nothing has to survive a crash.
        setup = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000;"
        db.executescript(f"PRAGMA page_size = {_PAGE_BYTES}; {setup} {SCHEMA} {DROPPED};")
        db.execute("CREATE TEMP TABLE minutes (at INTEGER PRIMARY KEY)")
        db.executemany("INSERT INTO minutes VALUES (?)", [(at,) for at in range(START // MINUTE, END // MINUTE)])
        names = [(device_id(number), metric, number) for number in range(fleet.devices) for metric in METRICS]
        rows = [(device.partition("-")[0], device, metric) for device, metric, _ in names]
        db.executemany("INSERT INTO series (profile, device, metric, kind) VALUES (?, ?, ?, 'number')", rows)
        points = sum(_profile(db, at, profile, fleet) for at, profile in enumerate(PROFILES, 1))
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        db.execute("PRAGMA journal_mode = WAL")
    return points


def _profile(db: sqlite3.Connection, id_: int, profile: str, fleet: Fleet) -> int:
    """Write all that is of a profile, and return how many points."""
    db.execute("INSERT INTO profile VALUES (?, ?)", (id_, profile))
    tables = {tier: _partitions(db, tier, id_) for tier in Tier}
    # Those that speak in a minute: each device under the minutes, modulo `every`, at which it does.
    db.execute("CREATE TEMP TABLE source (phase, series, number, PRIMARY KEY (phase, series)) WITHOUT ROWID")
    numbers = range(id_ - 1, fleet.devices, len(PROFILES))
    db.executemany(
        "INSERT INTO source VALUES (?, ?, ?)",
        (
            (phase, number * len(METRICS) + metric + 1, number)
            for number in numbers
            for phase in (range(fleet.every) if number < fleet.busy else (number % fleet.every,))
            for metric in range(len(METRICS))
        ),
    )
    points = sum(_points(db, name, first, last, fleet.every) for name, first, last in tables[Tier.RAW])
    _windows(db, {tier: tables[tier][0][0] for tier in ROLLUPS}, [name for name, _, _ in tables[Tier.RAW]], fleet.every)
    db.execute("DROP TABLE temp.source")
    return points


def _partitions(db: sqlite3.Connection, tier: Tier, profile: int) -> list[tuple[str, int, int]]:
    """Make a tier's partitions; gives the name of each, its first minute, and the one after its last."""
    found = []
    for number in range(START // SPANS[tier], (END - 1) // SPANS[tier] + 1):
        start = number * SPANS[tier]
        name = partition_name(tier, profile, start)
        db.execute(partition_schema(tier, name))
        db.execute("INSERT INTO partition VALUES (?, ?, ?, ?)", (tier, profile, start, name))
        found.append((name, max(START, start) // MINUTE, min(END, start + SPANS[tier]) // MINUTE))
    return found


def _points(db: sqlite3.Connection, name: str, first: int, last: int, every: int) -> int:
    value = _VALUE.format(minute="at", series="series")
    insert_ = f"""
        INSERT INTO {name} SELECT at, series, ts, {value}, ts + 40000000, NULL FROM (
            SELECT at, series, at * {MINUTE} + number % 60 * {_SECOND} AS ts
            FROM minutes CROSS JOIN source ON phase = at % ? WHERE at >= ? AND at < ?
        )"""
    return db.execute(insert_, (every, first, last)).rowcount


def _windows(db: sqlite3.Connection, tables: dict[Tier, str], raw: list[str], every: int) -> None:
    """Make the windows of each tier from the points, of which each is alone in its minute, and move the open ones."""
    minutes, hours, days = (tables[tier] for tier in ROLLUPS)
    for name in raw:
        columns = "minute * ?, series, 1, value, 0.0, value, value, value, value"
        db.execute(f"INSERT INTO {minutes} SELECT {columns} FROM {name} ORDER BY minute, series", (MINUTE,))
    first, last = (_VALUE.format(minute=f"{end}(start) / {MINUTE}", series="series") for end in ("min", "max"))
    sums = "sum(sum), max(0.0, sum(sum * sum) - sum(sum) * sum(sum) / count(*)), min(min), max(max)"
    for hour in range(START, END, HOUR):
        db.execute(
            f"INSERT INTO {hours} SELECT ?, series, count(*), {sums}, {first}, {last} FROM {minutes} "
            "WHERE start >= ? AND start < ? GROUP BY series",
            (hour, hour, hour + HOUR),
        )
    together = "max(0.0, sum(m2 + sum * sum / count) - sum(sum) * sum(sum) / sum(count))"
    for day in range(START - START % DAY, END, DAY):
        db.execute(
            f"INSERT INTO {days} SELECT ?, early.series, number, total, m2, low, high, early.first, late.last FROM "
            f"(SELECT series, sum(count) AS number, sum(sum) AS total, {together} AS m2, min(min) AS low, "
            f"max(max) AS high FROM {hours} WHERE start >= ?2 AND start < ?3 GROUP BY series) AS whole "
            f"JOIN (SELECT series, first, min(start) FROM {hours} WHERE start >= ?2 AND start < ?3 GROUP BY series) "
            f"AS early ON early.series = whole.series "
            f"JOIN (SELECT series, last, max(start) FROM {hours} WHERE start >= ?2 AND start < ?3 GROUP BY series) "
            f"AS late ON late.series = whole.series",
            (day, day, day + DAY),
        )
    _open(db, tables, raw, every)


def _open(db: sqlite3.Connection, tables: dict[Tier, str], raw: list[str], every: int) -> None:
    """Move the windows of each series' newest point to where they are while they may still change."""
    points = " UNION ALL ".join(f"SELECT minute, series, ts FROM {name} WHERE minute >= ?1" for name in raw)
    db.execute("CREATE TEMP TABLE newest (series INTEGER PRIMARY KEY, ts)")
    newest = f"INSERT INTO newest SELECT series, max(ts) FROM ({points}) GROUP BY series"
    db.execute(newest, (END // MINUTE - every,))
    starts = [(tables[tier], f"ts - ts % {width}") for tier, width in zip(ROLLUPS, (MINUTE, HOUR, DAY), strict=True)]
    columns = ", ".join(f"{name}.{column}" for name, _ in starts for column in AGGREGATES)
    joins = " ".join(
        f"JOIN {name} ON {name}.start = {start} AND {name}.series = newest.series" for name, start in starts
    )
    db.execute(
        f"INSERT INTO open (series, newest, zone, {', '.join(OPEN_COLUMNS)}) "
        f"SELECT newest.series, ts, '', {columns} FROM newest {joins}"
    )
    for name, start in starts:
        db.execute(f"DELETE FROM {name} WHERE (start, series) IN (SELECT {start}, series FROM newest)")
    db.execute("DROP TABLE newest")
