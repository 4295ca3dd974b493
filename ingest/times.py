"""Device time: which moment a device means by what it wrote as its time. All results in ns since 1970 UTC, exact."""

import re
from datetime import date
from decimal import Decimal

SECOND = 1_000_000_000
EARLIEST = 978_307_200 * SECOND
"""2001-01-01: a clock that says less has not been set."""

NO_FLAGS: dict[str, str] = {}
"""Shared by the many readings that need none; never changed."""

_DAY_S = 86_400
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_LONGEST = 64
_LARGEST_BITS = 128
_SEXAGESIMAL = 60

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_ISO = re.compile(
    r"([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})"
    r"(?:[Tt ]([0-9]{2}):?([0-9]{2})(?::?([0-9]{2})(?:[.,]([0-9]+))?)? ?(Z|z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)


class BadTimeError(ValueError):
    """What a device gave as its time cannot be read as one; the message says why."""


def event_time(stated: object, received: int, ahead: int) -> tuple[int, dict[str, str]]:
    """Time of a reading that says `stated`, and its flags.

    A time before 2001, or more than `ahead` ns after `received`, cannot be true: the reading then happened when it
    was received, and the flag `clock` holds what the device said. The flag `zone_assumed` says that the device named
    no zone. Raises BadTimeError.
    """
    ts, flags = _moment(stated)
    if EARLIEST <= ts <= received + ahead:
        return ts, flags
    return received, {**flags, "clock": str(stated)}


def _moment(stated: object) -> tuple[int, dict[str, str]]:
    kind = type(stated)
    if isinstance(stated, int) and kind is int:
        if stated.bit_length() > _LARGEST_BITS:
            raise BadTimeError("the time is a number of more digits than any time has")
        return _from_integer(stated), NO_FLAGS
    if kind is float:
        # The shortest text that gives this float is what the device wrote; the float itself is not exact to the ns.
        return _from_decimal(Decimal(repr(stated))), NO_FLAGS
    if not (isinstance(stated, str) and kind is str):
        raise BadTimeError(f"the time is {_kind(stated)}, not a number or ISO 8601 text")
    if len(stated) > _LONGEST:
        raise BadTimeError(f"the time is a text of {len(stated)} characters")
    if _NUMBER.fullmatch(stated):
        return _from_decimal(Decimal(stated)), NO_FLAGS
    return _from_iso(stated)


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


def _from_decimal(value: Decimal) -> int:
    size = abs(value)
    if size < 10**11:
        unit = SECOND
    elif size < 10**14:
        unit = 1_000_000
    else:
        unit = 1_000 if size < 10**17 else 1
    return int(value * unit)


def _from_iso(text: str) -> tuple[int, dict[str, str]]:
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
    return ts, NO_FLAGS if zone else {"zone_assumed": "UTC"}


def _offset(zone: str | None, text: str) -> int:
    """Seconds that a zone is ahead of UTC; a time without one is in UTC."""
    if zone is None or zone in "Zz":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[3:].lstrip(":") or 0)
    if hours >= 24 or minutes >= _SEXAGESIMAL:  # noqa: PLR2004 - hours of a day
        raise BadTimeError(f"the time {text!r} has an impossible zone")
    return (hours * 3600 + minutes * 60) * (-1 if zone[0] == "-" else 1)
