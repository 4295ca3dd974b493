"""Durations as operators write them: `0s`, `30s`, `5m`, `1h30m`."""

import re

SECOND = 1_000_000_000
LONGEST = 30 * 86_400 * SECOND
"""The longest `for`, in ns: 30 days."""

_UNITS = {"d": 86_400 * SECOND, "h": 3600 * SECOND, "m": 60 * SECOND, "s": SECOND, "ms": 1_000_000}
_PART = re.compile(r"([0-9]{1,9})(ms|[smhd])")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")


def parse_duration(text: str) -> int:
    """Read a duration as ns. Raises ValueError with a sentence for the caller."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is no duration: write whole numbers with d, h, m, s or ms, like 0s, 30s or 1h30m")
    ns = sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if ns > LONGEST:
        raise ValueError(f"{text!r} is longer than 30d")
    return ns


def format_duration(ns: int) -> str:
    """Write ns, a whole number of ms, as a duration; the shortest text that `parse_duration` reads as the same."""
    parts = []
    for unit, width in _UNITS.items():
        count, ns = divmod(ns, width)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
