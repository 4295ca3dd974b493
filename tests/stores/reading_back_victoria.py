"""Reads a whole VictoriaMetrics server back, as another program would, in the oracle's form."""

import math
from collections.abc import Mapping

import httpx
import msgspec

from contracts.line_layout import FLAGS, aggregate_of, from_name, m2_of, measurement_of, metric_of, sum_of
from contracts.readings import Value
from contracts.timeseries import ROLLUPS, Days, Kind, Tier
from contracts.victoria_layout import PROFILE, TICK, device_of, points_of, rows_of
from tests.stores.closed_windows import with_open_windows
from tests.stores.oracle import Aggregates, Name, Points, Rollups

Found = list[tuple[dict[str, str], list[tuple[int, float]]]]


def exported(url: str, devices: str = ".*") -> Found:
    httpx.get(f"{url}/internal/force_flush").raise_for_status()
    answer = httpx.post(f"{url}/api/v1/export", data={"match[]": f'{{{PROFILE}!="",device=~"{devices}"}}'})
    lines = [msgspec.json.decode(line) for line in answer.raise_for_status().content.splitlines()]
    return [(line["metric"], list(zip(line["timestamps"], line["values"], strict=True))) for line in lines]


def of_victoria(url: str, days: Days, devices: str = ".*") -> tuple[dict[tuple[Name, int], Value], Rollups]:
    """Read the points, and the windows, stored or computed by readers, of devices that match a regular expression."""
    raw: dict[Name, Found] = {}
    windows: dict[tuple[Tier, Name], tuple[dict[str, str], Found]] = {}
    for labels, samples in exported(url, devices):
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


def point_differences(found: Points, wanted: Points) -> list[str]:
    """Tell what is not as it should be: times, booleans and text exactly, numbers as the server keeps them."""
    wrong = [f"points only on one side: {found.keys() ^ wanted.keys()}"] if found.keys() != wanted.keys() else []
    both = [(key, found[key], wanted[key]) for key in found.keys() & wanted.keys()]
    return wrong + [f"{key}: {have}, not {want}" for key, have, want in both if not _near(have, want, _size(want))]


def rollup_differences(found: Rollups, wanted: Rollups) -> list[str]:
    """Tell the same of windows, by their mean and standard deviation, which are what is stored."""
    wrong = [f"missing: {key}" for key in wanted.keys() - found.keys()]
    wrong += [f"too much: {key} {found[key]}" for key in found.keys() - wanted.keys()]
    for key in found.keys() & wanted.keys():
        have, want = _stored(found[key]), _stored(wanted[key])
        size = max(map(_size, want[1:]))
        if have[0] != want[0] or not all(map(lambda one, other: _near(one, other, size), have, want)):
            wrong.append(f"{key}: {have}, not {want}")
    return wrong


def _stored(window: Aggregates) -> list[Value | None]:
    count, total, m2, *others = window
    if total is None or m2 is None:
        return [float(count), *others]
    return [float(count), total / count, math.sqrt(m2 / count), *others]


def _size(value: Value | None) -> float:
    return abs(value) if isinstance(value, float) else 0.0


def _near(have: Value | None, want: Value | None, size: float) -> bool:
    """Twelve digits of the largest number in the window, and 18 of the largest in the server's block of samples."""
    if isinstance(have, float) and isinstance(want, float):
        return abs(have - want) <= 1e-11 * size + 1e-18 * LARGEST
    return have == want and have.__class__ is want.__class__


LARGEST = 1e10
"""Largest number that tests write, with some room."""
