"""How series look in VictoriaMetrics: what processor writes there, and others read. Pure.

Names are those of `contracts.line_layout`, joined by `_` as the server does it. A sample has a float and a time in
ms, no more, so that:

- `profile` is a label too: joined by `_`, two profiles and metrics could have one name;
- a boolean is 0 or 1;
- a text is a sample of 1 with the text in the label `text`, and the flags of a reading are one with their names;
- points of a series within one ms are one point, and of its values the largest counts: the server keeps both and does
  not tell which came last.

The row of a window lies at its start, moved by its count - 1 in ms (`row_time`); of several rows of one window, the
last one counts. A window only ever gains points, so that who knew of more of them wins, whatever the order in which
rows are written, and a row never has to be replaced. Where only a value was corrected, the row moves by one more.

There are rows of closed windows only. The window that the newest point of a series is in is computed from its points,
in each tier, and rows that begin with it or later are not to be taken: their points were not stored, or not yet.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping

from contracts.line_layout import (
    FLAGS,
    TAG,
    aggregates_of,
    field_of,
    from_name,
    measurement_of,
    to_tag,
    window_field_of,
)
from contracts.readings import Value
from contracts.timeseries import Kind, Tier

TICK = 1_000_000
"""Points of a series within so many ns are one point."""

PROFILE = "profile"
TEXT = "text"
FLAG_NAMES = FLAGS

MOST_TEXT = 256
"""Most characters of a text that can be a point."""

_MINUTE = 60_000

Samples = Iterable[tuple[Mapping[str, str], Iterable[tuple[int, float]]]]
"""Labels of a series, and its samples as time in ms and value."""
Row = tuple[int, dict[str, Value]]
"""Time in ms of a window's row, and its aggregates by name."""


def name_of(profile: str, metric: str, kind: Kind) -> str:
    """Name the samples of a series' points."""
    return f"{measurement_of(profile, Tier.RAW)}_{field_of(metric, kind)}"


def window_name_of(profile: str, metric: str, kind: Kind, tier: Tier, aggregate: str) -> str:
    """Name the samples of one aggregate of a series' windows."""
    return f"{measurement_of(profile, tier)}_{window_field_of(metric, kind, aggregate)}"


def window_names_of(profile: str, metric: str, kind: Kind, tier: Tier) -> dict[str, str]:
    """Name the samples of all aggregates of a series' windows: aggregate by name."""
    return {window_name_of(profile, metric, kind, tier, aggregate): aggregate for aggregate in aggregates_of(kind)}


def selector(names: Iterable[str], profile: str, devices: Iterable[str]) -> str:
    """Write what selects the samples with these names, of devices of a profile."""
    tags = [to_tag(device) for device in devices]
    return f"{{{_label('__name__', list(names))},{_label(PROFILE, [to_tag(profile)])},{_label(TAG, tags)}}}"


def _label(label: str, values: list[str]) -> str:
    if len(values) == 1:
        return f"{label}={json.dumps(values[0], ensure_ascii=False)}"
    return f"{label}=~{json.dumps('|'.join(map(re.escape, values)), ensure_ascii=False)}"


def device_of(labels: Mapping[str, str]) -> str:
    """Read the device from the labels of a series."""
    return from_name(labels[TAG])


def value_of(kind: Kind, labels: Mapping[str, str], sample: float) -> Value:
    """Read the value of a point, or of a last one, from its labels and its sample."""
    if kind is str:
        return from_name(labels[TEXT])
    return bool(sample) if kind is bool else float(sample)


def points_of(kind: Kind, found: Samples) -> dict[int, Value]:
    """Read the points of one series: value by time in ms."""
    points: dict[int, Value] = {}
    for labels, samples in found:
        for at, sample in samples:
            value = value_of(kind, labels, sample)
            points[at] = max(points.get(at, value), value)
    return points


def rows_of(kind: Kind, names: Mapping[str, str], found: Samples) -> dict[int, Row]:
    """Read the rows of the windows of one series and tier, by start in ms; of each window, the one that counts."""
    rows: dict[int, dict[str, Value]] = {}
    for labels, samples in found:
        aggregate = names[labels["__name__"]]
        read = float if aggregate == "count" else kind
        for at, sample in samples:
            row, value = rows.setdefault(at, {}), value_of(read, labels, sample)
            row[aggregate] = max(row.get(aggregate, value), value)
    wanted = len(aggregates_of(kind))
    # A row that is not whole is of a write that failed.
    return {start_of_row(at, row): (at, row) for at, row in sorted(rows.items()) if len(row) == wanted}


def row_time(start: int, count: int) -> int:
    """Give the time in ms of a window's row, from its start in ms."""
    return start + count - 1


def start_of_row(at: int, row: Mapping[str, Value]) -> int:
    """Give the start in ms of the window that a row belongs to: windows begin with a minute."""
    return (at - int(row["count"]) + 1) // _MINUTE * _MINUTE


def is_same(one: Mapping[str, Value], other: Mapping[str, Value]) -> bool:
    """Whether two rows say the same, but for what the server rounds."""
    if one.keys() != other.keys():
        return False
    numbers = [value for row in (one, other) for value in row.values() if isinstance(value, float)]
    off = 1e-12 * max((abs(number) for number in numbers), default=0.0)
    return all(
        math.isclose(value, other[name], rel_tol=1e-11, abs_tol=off)  # type: ignore[arg-type]  # as the other is
        if isinstance(value, float)
        else value == other[name]
        for name, value in one.items()
    )
