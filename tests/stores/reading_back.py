"""Reads a whole store back, as another program would, in the oracle's form."""

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

from contracts import line_layout
from contracts.influxql import Result, identifier
from contracts.readings import Value
from contracts.sqlite_layout import to_kind
from contracts.timeseries import KINDS, ROLLUPS, Kind, Tier
from tests.stores.memory_store import Kept
from tests.stores.oracle import Aggregates, Name, Rollups


def of_memory(kept: Kept) -> tuple[dict[tuple[Name, int], Value], Rollups]:
    points = {(name, ts): value for name, series in kept.points.items() for ts, value in series.items()}
    rollups: Rollups = {}
    for (tier, name), windows in kept.windows.items():
        for start, w in windows.items():
            number = name[3] is float
            middle = (w.sum, w.m2, w.min, w.max, w.first) if number else (None,) * 5
            rollups[tier, name, start] = (w.count, *middle, w.last)
    return points, rollups


def of_sqlite(path: Path) -> tuple[dict[tuple[Name, int], Value], Rollups]:
    """Read the views that are there for people."""
    points: dict[tuple[Name, int], Value] = {}
    rollups: Rollups = {}
    with closing(sqlite3.connect(path)) as db:
        for profile, device, metric, kind, ts, value in db.execute(
            "SELECT profile, device, metric, kind, ts, value FROM point"
        ):
            points[(profile, device, metric, KINDS[kind]), ts] = to_kind(KINDS[kind], value)
        for tier in ROLLUPS:
            for profile, device, metric, kind, start, *rest in db.execute(
                f"SELECT profile, device, metric, kind, start, count, sum, m2, min, max, first, last FROM rollup_{tier}"
            ):
                key = tier, (profile, device, metric, KINDS[kind]), start
                assert key not in rollups, "a window has one row"
                rest[-1] = to_kind(KINDS[kind], rest[-1])
                rollups[key] = tuple(rest)
    return points, rollups


def of_influx(
    query: Callable[[str], list[Result]], profiles: Iterable[str]
) -> tuple[dict[tuple[Name, int], Value], Rollups]:
    """Read every field of the profiles' measurements; of a window's rows, the last one."""
    points: dict[tuple[Name, int], Value] = {}
    found: dict[tuple[Tier, Name, int], dict[str, Value | int]] = {}
    measurements = [(profile, tier) for profile in profiles for tier in Tier]
    names = [identifier(line_layout.measurement_of(*measurement)) for measurement in measurements]
    for result in query("; ".join(f"SELECT * FROM {name} GROUP BY *" for name in names)):
        profile, tier = measurements[result.statement_id]
        for table in result.series:
            device = line_layout.from_name(table.tags[line_layout.TAG])
            for time, *row in table.values:
                assert isinstance(time, int)
                fields = {name: value for name, value in zip(table.columns[1:], row, strict=True) if value is not None}
                if tier is Tier.RAW:
                    for (metric, kind), value in _values(fields).items():
                        points[(profile, device, metric, kind), time] = kind(value)
                    continue
                start = line_layout.start_of_row(time)
                windows: dict[tuple[Tier, Name, int], dict[str, Value | int]] = {}
                for field, value in fields.items():
                    metric, kind, aggregate = line_layout.aggregate_of(field)
                    windows.setdefault((tier, (profile, device, metric, kind), start), {})[aggregate] = value
                found.update(windows)
    return points, {key: _aggregates(key[1][3], window) for key, window in found.items()}


def _values(fields: dict[str, Value | int]) -> dict[tuple[str, Kind], Value | int]:
    return {metric: value for field, value in fields.items() if (metric := line_layout.metric_of(field)) is not None}


def _aggregates(kind: Kind, window: dict[str, Value | int]) -> Aggregates:
    count = int(window["count"])
    if kind is not float:
        return count, None, None, None, None, None, kind(window["last"])
    mean, stddev, least, most, first, last = (float(window[name]) for name in line_layout.NUMBER_AGGREGATES[1:])
    return count, line_layout.sum_of(mean, count), line_layout.m2_of(stddev, count), least, most, first, last
