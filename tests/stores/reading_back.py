"""Reads a whole store back, as another program would, in the oracle's form."""

import sqlite3
from contextlib import closing
from pathlib import Path

from contracts.readings import Value
from contracts.sqlite_layout import to_kind
from contracts.timeseries import KINDS, ROLLUPS
from tests.stores.memory_store import Kept
from tests.stores.oracle import Name, Rollups


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
