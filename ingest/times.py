"""Device time: which moment a device means by what it wrote as its time. All results in ns since 1970 UTC, exact."""

import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from math import isfinite
from zoneinfo import ZoneInfo

SECOND = 1_000_000_000
EARLIEST = 978_307_200 * SECOND
"""2001-01-01: a clock that says less has not been set."""

NO_FLAGS: dict[str, str] = {}
"""Shared by the many readings that need none; never changed."""

_DAY_S = 86_400
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall clock's, in whatever zone it hangs
_LONGEST = 64
_LARGEST_BITS = 128
_LARGEST = 1 << _LARGEST_BITS
_SEXAGESIMAL = 60

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_ISO = re.compile(
    r"([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})"
    r"(?:[Tt ]([0-9]{2}):?([0-9]{2})(?::?([0-9]{2})(?:[.,]([0-9]+))?)? ?(Z|z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)


class BadTimeError(ValueError):
    """What a device gave as its time cannot be read as one; the message says why."""


def event_time(
    stated: object,
    received: int,
    ahead: int,
    *,
    unit: int | None = None,
    zone: ZoneInfo | None = None,
    earliest: int = EARLIEST,
) -> tuple[int, dict[str, str]]:
    """Time of a reading that says `stated`, and its flags.

    A number is in `unit` ns, or told by its size where that is None. A time before `earliest`, or more than `ahead`
    ns after `received`, cannot be true: the reading then happened when it was received, and the flag `clock` holds what
    the device said. A time that names no zone is in `zone`, or else in UTC, and has the flag `zone_assumed` with the
    zone's name; an hour that comes twice there is the one nearest to `received`. Raises BadTimeError.
    """
    ts, flags = _moment(stated, received, unit, zone)
    if earliest <= ts <= received + ahead:
        return ts, flags
    return received, {**flags, "clock": str(stated)}


def _moment(stated: object, received: int, unit: int | None, zone: ZoneInfo | None) -> tuple[int, dict[str, str]]:
    kind = type(stated)
    if isinstance(stated, int) and kind is int:
        if stated.bit_length() > _LARGEST_BITS:
            raise BadTimeError("the time is a number of more digits than any time has")
        return _from_integer(stated) if unit is None else stated * unit, NO_FLAGS
    if isinstance(stated, float) and kind is float:
        if not isfinite(stated):
            raise BadTimeError("the time is no finite number")
        # The shortest text that gives this float is what the device wrote; the float itself is not exact to the ns.
        return _from_decimal(Decimal(repr(stated)), unit), NO_FLAGS
    if not (isinstance(stated, str) and kind is str):
        raise BadTimeError(f"the time is {_kind(stated)}, not a number or ISO 8601 text")
    if len(stated) > _LONGEST:
        raise BadTimeError(f"the time is a text of {len(stated)} characters")
    if _NUMBER.fullmatch(stated):
        return _from_decimal(Decimal(stated), unit), NO_FLAGS
    return _from_iso(stated, received, zone)


def _kind(value: object) -> str:
    names = {bool: "true or false", dict: "an object", list: "an array"}
    return names.get(type(value), "no finite number")


def _from_integer(value: int) -> int:
    """Epoch s, ms, us or ns, told by size."""
    size = abs(value)
    if size < 10**11:
        return value * SECOND
    if size < 10**14:
        return value * 1_000_000
    return value * 1_000 if size < 10**17 else value


def _from_decimal(value: Decimal, unit: int | None) -> int:
    size = abs(value)
    if unit is not None:
        if size * unit > _LARGEST:
            raise BadTimeError("the time is a number of more digits than any time has")
    elif size < 10**11:
        unit = SECOND
    elif size < 10**14:
        unit = 1_000_000
    else:
        unit = 1_000 if size < 10**17 else 1
    return int(value * unit)


def _from_iso(text: str, received: int, assumed: ZoneInfo | None) -> tuple[int, dict[str, str]]:
    match = _ISO.fullmatch(text)
    if match is None:
        raise BadTimeError(f"the time {text!r} is neither a number nor ISO 8601")
    year, _, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY
    except ValueError as error:
        raise BadTimeError(f"the time {text!r} is on an impossible date") from error
    hours, minutes, seconds = int(hour or 0), int(minute or 0), int(second or 0)
    # 24:00 is the end of the day, and a leap second the one after :59; both are ISO 8601.
    midnight = hours == 24 and not minutes and not seconds  # noqa: PLR2004 - as above
    if not ((hours < 24 or midnight) and minutes < _SEXAGESIMAL and seconds <= _SEXAGESIMAL):  # noqa: PLR2004 - hours
        raise BadTimeError(f"the time {text!r} is an impossible time of day")
    offset = _offset(zone, text)
    nanoseconds = int((fraction or "0")[:9].ljust(9, "0"))
    ts = (days * _DAY_S + hours * 3600 + minutes * 60 + seconds - offset) * SECOND + nanoseconds
    if zone:
        return ts, NO_FLAGS
    if assumed is None:
        return ts, {"zone_assumed": "UTC"}
    return _in_zone(ts, received, assumed), {"zone_assumed": assumed.key}


def _in_zone(wall: int, received: int, zone: ZoneInfo) -> int:
    """Turn a wall-clock time, counted as if it were UTC, into the moment when clocks in `zone` showed it.

    Of two such moments it is the one nearer to `received`; a time that clocks skipped is moved on by what they skipped.
    """
    seconds, nanoseconds = divmod(wall, SECOND)
    try:
        local = _EPOCH + timedelta(seconds=seconds)
    except OverflowError:  # the last midnight of the year 9999: no zone makes that a time that can be true
        return wall
    moments = []
    for fold in (0, 1):
        offset = local.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta()
        moments.append((seconds - int(offset.total_seconds())) * SECOND + nanoseconds)
    # Where clocks skip an hour, fold 0 is the offset from before the gap, which moves the time on.
    skipped = moments[0] > moments[1]
    return moments[0] if skipped else min(moments, key=lambda moment: abs(received - moment))


def _offset(zone: str | None, text: str) -> int:
    """Seconds that a zone is ahead of UTC; a time without one is in UTC."""
    if zone is None or zone in "Zz":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[3:].lstrip(":") or 0)
    if hours >= 24 or minutes >= _SEXAGESIMAL:  # noqa: PLR2004 - hours of a day
        raise BadTimeError(f"the time {text!r} has an impossible zone")
    return (hours * 3600 + minutes * 60) * (-1 if zone[0] == "-" else 1)
