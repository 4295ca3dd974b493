"""Brings a store of the first schema, one table of points, into the present one."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from contracts.readings import Reading
from contracts.sqlite_layout import EARLIER_POINTS, to_kind
from contracts.timeseries import KINDS
from processor.engine import Engine

_POINTS_A_WRITE = 20_000
_KIND = {"real": "number", "integer": "boolean", "text": "text"}


def upgrade(path: Path, engine: Engine) -> int:
    """Write what the earlier tables hold through `engine`, drop them, and return how many points that were.

    Interrupted at any moment, it begins again with the next start, and stores each point once even so. Raises
    StoreUnavailableError as the engine does, and sqlite3.Error.
    """
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'earlier_point'").fetchone():
            return 0
        count = 0
        readings = _readings(db)
        while chunk := list(islice(readings, _POINTS_A_WRITE)):
            engine.write([(0, chunk)], {0: 0})
            count += len(chunk)
        db.executescript("BEGIN IMMEDIATE; DROP TABLE earlier_point; DROP TABLE earlier_series; COMMIT;")
        return count


def _readings(db: sqlite3.Connection) -> Iterator[Reading]:
    for device, metric, ts, value, type_, received, flags in db.execute(EARLIER_POINTS):
        kept = to_kind(KINDS[_KIND[type_]], value)
        yield Reading(device, ts, received, {metric: kept}, json.loads(flags) if flags else {})
