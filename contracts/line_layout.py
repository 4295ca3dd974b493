"""How series look in a store that speaks line protocol: what processor writes there, and others read. Pure.

| | measurement | tag | fields | time |
|---|---|---|---|---|
| a reading | `pump` | `device` | `temperature`, `door:boolean`, `state:text`, `flags:json` | its `ts` |
| its windows | `pump:1m`, `:1h`, `:1d` | `device` | `temperature:mean`, `door:boolean:last`, … | see `row_time` |

A measurement is a profile and a tier, a field a metric and its kind, so that types never conflict. Whatever a profile,
device or metric is called, two of them never share a name, and every name is one that the servers take: characters
that they don't are written `%XX`, and a name that looks as if it had a suffix gets one (`:raw`, `:number`).

Windows have a mean and a standard deviation (of the whole population) where other stores have sum and m2: that is what
people look at, and `sum_of` and `m2_of` give the others back up to rounding.
"""

import math
import re
import sys

from contracts.timeseries import MINUTE, Kind, Tier

TAG = "device"

FLAGS = "flags:json"
"""The field that holds the flags of a reading, as a JSON object; there is none where it has no flags."""

NUMBER_AGGREGATES = ("count", "mean", "stddev", "min", "max", "first", "last")
OTHER_AGGREGATES = ("count", "last")
"""What a window of booleans or text has. `count` is an integer, the others are of the series' kind."""

_TIERS = {f":{tier}": tier for tier in Tier}
_KINDS: dict[str, Kind] = {":number": float, ":boolean": bool, ":text": str}
_KIND_SUFFIXES = {kind: suffix for suffix, kind in _KINDS.items()}
_FLAGS_SUFFIX = ":json"

# Servers cannot tell a backslash before a separator from an escape, nor all of them a quote in a name from a text.
_CODES = "[01][0-9A-F]|7F|22|5C|25|5F|23|74|64"
_ESCAPE = re.compile(f"%({_CODES})")
_BAD = rf"[\x00-\x1f\x7f\\\"]|%(?={_CODES})"
_BAD_IN_TAG = re.compile(_BAD)
# A name may not begin with _, nor a line with #; `time` is no field, and a field may not be called as a tag is.
_BAD_IN_NAME = re.compile(rf"{_BAD}|\A[_#]|\At(?=ime\Z)|\Ad(?=evice\Z)")
_EMPTY = "%25"
"""In place of an empty name, since there may be none; `%` itself stays as it is where no code follows."""


def to_tag(text: str) -> str:
    """Write a device's id as the value of its tag."""
    return _BAD_IN_TAG.sub(_code, text) or _EMPTY


def to_name(text: str) -> str:
    """Write text as the name of a measurement or field. For whole names: see `measurement_of` and `field_of`."""
    return _BAD_IN_NAME.sub(_code, text) or _EMPTY


def from_name(name: str) -> str:
    """Read what `to_tag` or `to_name` wrote."""
    return "" if name == _EMPTY else _ESCAPE.sub(lambda match: chr(int(match[1], 16)), name)


def _code(match: re.Match[str]) -> str:
    return f"%{ord(match[0]):02X}"


def measurement_of(profile: str, tier: Tier) -> str:
    """Name the measurement of a profile's points (`Tier.RAW`), or of its windows of one width."""
    if tier is Tier.RAW and not profile.endswith(tuple(_TIERS)):
        return to_name(profile)
    return to_name(f"{profile}:{tier}")


def profile_of(measurement: str) -> tuple[str, Tier]:
    """Read a name that `measurement_of` gave."""
    text = from_name(measurement)
    for suffix, tier in _TIERS.items():
        if text.endswith(suffix):
            return text.removesuffix(suffix), tier
    return text, Tier.RAW


def field_of(metric: str, kind: Kind) -> str:
    """Name the field of a metric's values of one kind."""
    return to_name(_with_kind(metric, kind))


def metric_of(field: str) -> tuple[str, Kind] | None:
    """Read a name that `field_of` gave; None for `FLAGS`."""
    return None if field == FLAGS else _metric(from_name(field))


def window_field_of(metric: str, kind: Kind, aggregate: str) -> str:
    """Name the field of one of the aggregates of a metric's windows."""
    return to_name(f"{_with_kind(metric, kind)}:{aggregate}")


def aggregate_of(field: str) -> tuple[str, Kind, str]:
    """Read a name that `window_field_of` gave, as metric, kind and aggregate."""
    text, _, aggregate = from_name(field).rpartition(":")
    return *_metric(text), aggregate


def aggregates_of(kind: Kind) -> tuple[str, ...]:
    """Name what a window of this kind has."""
    return NUMBER_AGGREGATES if kind is float else OTHER_AGGREGATES


def _with_kind(metric: str, kind: Kind) -> str:
    if kind is float and not metric.endswith((*_KINDS, _FLAGS_SUFFIX)):
        return metric
    return metric + _KIND_SUFFIXES[kind]


def _metric(text: str) -> tuple[str, Kind]:
    for suffix, kind in _KINDS.items():
        if text.endswith(suffix):
            return text.removesuffix(suffix), kind
    return text, float


def row_time(start: int, fence: int) -> int:
    """Give the time of a window's row.

    `fence`, at most a minute in ns, grows with each change of the partition's owner. Of a window's rows the last one
    counts, all of its fields and no others, so that an owner who does not know yet that it is none changes nothing.
    """
    return start + min(fence, MINUTE - 1)


def start_of_row(time: int) -> int:
    """Give the start of the window that a row with this time belongs to."""
    return time - time % MINUTE


def mean_of(total: float, count: int) -> float:
    """Give the mean as it is stored: for a sum that no float can hold, the largest float."""
    mean = total / count
    return mean if math.isfinite(mean) else sys.float_info.max


def stddev_of(m2: float, count: int) -> float:
    """Give the standard deviation as it is stored: for an m2 that no float can hold, the largest float."""
    return math.sqrt(m2 / count) if math.isfinite(m2) else sys.float_info.max


def sum_of(mean: float, count: int) -> float:
    """Give the sum back, infinite where no float can hold it."""
    return mean * count


def m2_of(stddev: float, count: int) -> float:
    """Give m2 back, infinite where no float can hold it."""
    return stddev * stddev * count
