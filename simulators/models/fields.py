"""What fields of a model's file may hold: ranges, durations, shares."""

import math
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from contracts.durations import parse_duration


class Part(BaseModel):
    """A table of the file. What it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _pair(value: Any) -> Any:  # noqa: ANN401 - what TOML holds
    if isinstance(value, list):
        if len(value) != 2:  # noqa: PLR2004 - a lowest and a highest
            raise ValueError("write one, or the lowest and the highest: [low, high]")
        return tuple(value)
    return (value, value)


def _ascending(pair: tuple[Any, Any]) -> tuple[Any, Any]:
    if pair[0] > pair[1]:
        raise ValueError(f"{pair[0]} is more than {pair[1]}: write [low, high]")
    return pair


def _duration(value: Any) -> int:  # noqa: ANN401 - what TOML holds
    if not isinstance(value, str):
        raise ValueError("write a duration, like '30s' or '5m'")  # noqa: TRY004 - pydantic makes no error of a TypeError
    return parse_duration(value)


def _positive(ns: int) -> int:
    if not ns:
        raise ValueError("has to be more than 0s")
    return ns


def _finite(value: Any) -> Any:  # noqa: ANN401 - what TOML holds
    """Take whole numbers for floats, which TOML tells apart, and neither nan nor inf."""
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("has to be a number that is finite")
    return value


Number = Annotated[float, BeforeValidator(_finite)]
Size = Annotated[Number, Field(ge=0)]
Share = Annotated[Number, Field(ge=0, le=1)]

Range = Annotated[tuple[Number, Number], BeforeValidator(_pair), AfterValidator(_ascending)]
"""A number, or the lowest and the highest: each device has one of its own in between."""

Place = Annotated[
    tuple[Annotated[Number, Field(ge=-80, le=80)], Annotated[Number, Field(ge=-180, le=180)]], BeforeValidator(_pair)
]
"""Latitude and longitude."""

Duration = Annotated[int, BeforeValidator(_duration)]
"""ns; written as `30s`, `5m` or `1h30m`."""

Period = Annotated[Duration, AfterValidator(_positive)]
Durations = Annotated[tuple[Period, Period], BeforeValidator(_pair), AfterValidator(_ascending)]
Spans = Annotated[tuple[Duration, Duration], BeforeValidator(_pair), AfterValidator(_ascending)]
"""A duration, or the shortest and the longest."""

Hours = Annotated[list[Size], Field(min_length=24, max_length=24)]
"""A factor for each hour of the day (UTC); in between it goes in a straight line from one to the next."""

Days = Annotated[list[Size], Field(min_length=7, max_length=7)]
"""A factor for each day of the week from Monday on (UTC)."""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
