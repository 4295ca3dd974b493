"""Numbers with units, as people write them: `30 s`, `2 min`, `1500 ms`, `1.5 %`, `64 MB`, `900 /s`."""

import re
from enum import Enum
from typing import Annotated

from pydantic import BeforeValidator


class Kind(Enum):
    """What a number counts, with the units that may follow it and how much of the base unit each is."""

    COUNT = ("a number", {"": 1.0})
    SECONDS = ("a duration with ms, s, min or h", {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0})
    SHARE = ("a share such as 0.99 or 99 %", {"": 1.0, "%": 0.01})
    RATE = ("a rate a second such as 900 /s", {"": 1.0, "/s": 1.0})
    BYTES = ("a size with kB, MB or GB", {"kB": 1e3, "MB": 1e6, "GB": 1e9})

    def __init__(self, what: str, units: dict[str, float]) -> None:
        self.what, self.units = what, units


_NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z%/]*)\s*")


def parse(text: str, kind: Kind) -> float:
    """Read `text` in the base unit of `kind`. Raises ValueError with what is allowed."""
    found = _NUMBER.fullmatch(text)
    if found is None or found[2] not in kind.units:
        raise ValueError(f"{text.strip()!r} is not {kind.what}")
    return float(found[1]) * kind.units[found[2]]


def show(value: float, kind: Kind) -> str:
    """Write a value of the base unit for people."""
    match kind:
        case Kind.SECONDS:
            return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.2f} s"
        case Kind.SHARE:
            return f"{value:.4g}"
        case Kind.RATE:
            return f"{value:,.0f} /s"
        case _:
            return f"{value:,.0f}" if value == int(value) else f"{value:,.3f}"


def _seconds(value: object) -> object:
    return parse(value, Kind.SECONDS) if isinstance(value, str) else value


def _bytes(value: object) -> object:
    return int(parse(value, Kind.BYTES)) if isinstance(value, str) else value


def _share(value: object) -> object:
    return parse(value, Kind.SHARE) if isinstance(value, str) else value


Seconds = Annotated[float, BeforeValidator(_seconds)]
"""A duration: a number of seconds, or text with a unit."""

Bytes = Annotated[int, BeforeValidator(_bytes)]
"""A size: a number of bytes, or text with a unit."""

Share = Annotated[float, BeforeValidator(_share)]
"""A share of a whole: 0.015, or text such as `1.5 %`."""
