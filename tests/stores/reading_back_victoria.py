"""Reads a whole VictoriaMetrics server back, as another program would, in the oracle's form."""

from collections.abc import Mapping

import httpx
import msgspec

from contracts.line_layout import FLAGS, aggregate_of, from_name, m2_of, measurement_of, metric_of, sum_of
from contracts.readings import Value
from contracts.timeseries import ROLLUPS, Days, Kind, Tier
from contracts.victoria_layout import PROFILE, TICK, device_of, points_of, rows_of
from tests.stores.closed_windows import with_open_windows
from tests.stores.oracle import Aggregates, Name, Rollups

Found = list[tuple[dict[str, str], list[tuple[int, float]]]]


def exported(url: str) -> Found:
    httpx.get(f"{url}/internal/force_flush").raise_for_status()
    answer = httpx.post(f"{url}/api/v1/export", data={"match[]": f'{{{PROFILE}!=""}}'})
    lines = [msgspec.json.decode(line) for line in answer.raise_for_status().content.splitlines()]
    return [(line["metric"], list(zip(line["timestamps"], line["values"], strict=True))) for line in lines]


def of_victoria(url: str, days: Days) -> tuple[dict[tuple[Name, int], Value], Rollups]:
    """Read the points, and the windows: stored ones, and those that readers compute."""
    raw: dict[Name, Found] = {}
    windows: dict[tuple[Tier, Name], tuple[dict[str, str], Found]] = {}
    for labels, samples in exported(url):
        profile, device, stored = from_name(labels[PROFILE]), device_of(labels), labels["__name__"]
        for tier in ROLLUPS:
            if stored.startswith(prefix := f"{measurement_of(profile, tier)}_"):
                metric, kind, aggregate = aggregate_of(stored.removeprefix(prefix))
                names, found = windows.setdefault((tier, (profile, device, metric, kind)), ({}, []))
                names[stored] = aggregate
                found.append((labels, samples))
                break
        else:
            field = stored.removeprefix(f"{measurement_of(profile, Tier.RAW)}_")
            if field != FLAGS:
                what = metric_of(field)
                assert what is not None
                raw.setdefault((profile, device, *what), []).append((labels, samples))
    points = {
        (name, at * TICK): value for name, found in raw.items() for at, value in points_of(name[3], found).items()
    }
    rollups = {
        (tier, name, start * TICK): _aggregates(name[3], row)
        for (tier, name), (names, found) in windows.items()
        for start, (_, row) in rows_of(name[3], names, found).items()
    }
    return points, with_open_windows(points, rollups, days)


def _aggregates(kind: Kind, row: Mapping[str, Value]) -> Aggregates:
    count = int(row["count"])
    if kind is not float:
        return count, None, None, None, None, None, row["last"]
    number = {name: float(value) for name, value in row.items()}
    total, m2 = sum_of(number["mean"], count), m2_of(number["stddev"], count)
    return count, total, m2, number["min"], number["max"], number["first"], number["last"]
