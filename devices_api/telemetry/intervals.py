"""Intervals as operators write them, and the windows that they stand for. Pure."""

from contracts.times import parse_interval
from contracts.timeseries import DAY, Days
from devices_api.telemetry.windows import Calendar, Every, Grid, Unit, count_windows

AUTO = "auto"
_DAY = "1d"
LOCAL = (_DAY, Unit.WEEK, Unit.MONTH)
"""Intervals whose windows are those of a time zone."""
_TIERS = ("1m", "1h", _DAY)


def checked(text: str) -> str:
    """Return an interval that can be asked for. Raises ValueError with a sentence for the caller."""
    if text != AUTO and text not in LOCAL:
        try:
            parse_interval(text)
        except ValueError as error:
            raise ValueError(f"{error}; or 1w, 1mo, or auto") from error
    return text


def grid_of(interval: str, days: Days | None) -> Grid:
    """Return the windows of an interval, which is not auto; those of `days` where it is a local one."""
    if interval not in LOCAL or days is None:
        return Every(parse_interval(interval))
    if interval != _DAY:
        return Calendar(days, Unit(interval))
    return Every(DAY) if days.name == "UTC" else days


def finest(start: int, end: int, most: int) -> str:
    """Return the finest interval that a tier is kept of with at most `most` windows; a day if there is none."""
    for interval in _TIERS:
        if count_windows(start, end, Every(parse_interval(interval))) <= most:
            return interval
    return _DAY
