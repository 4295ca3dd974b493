"""Times as operators write and read them: RFC 3339 or epoch integers in, RFC 3339 with nine digits out."""

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

SECOND = 1_000_000_000
LATEST = (1 << 63) - 1
"""The last moment that fits: in the year 2262."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND, "d": 86_400 * SECOND}
_INTERVAL = re.compile(r"([0-9]{1,6})([smhd])")
_INTEGER = re.compile(r"[0-9]{1,20}")
# A space before the offset is a "+" that was not escaped in a URL.
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([-+ ])(\d\d):(\d\d))", re.ASCII
)


def parse_time(text: str) -> int:
    """Read a time as ns since 1970 UTC.

    RFC 3339 with an offset and up to nine fraction digits, or an integer since 1970 whose unit its size tells: below
    10^11 seconds, below 10^14 ms, below 10^17 µs, else ns. Raises ValueError with a sentence for the caller.
    """
    ns = _epoch(int(text)) if _INTEGER.fullmatch(text) else _rfc3339(text)
    if not 0 <= ns <= LATEST:
        raise ValueError(f"{text!r} is not between 1970 and 2262")
    return ns


def _epoch(number: int) -> int:
    for below, unit in ((10**11, SECOND), (10**14, 1_000_000), (10**17, 1000)):
        if number < below:
            return number * unit
    return number


def _rfc3339(text: str) -> int:
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} is no time: write RFC 3339 with an offset (2026-01-01T00:00:00Z) or an integer since 1970"
        )
    *parts, fraction, sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    try:
        zone = timezone(-offset if sign == "-" else offset)
        year, month, day, hour, minute, second = map(int, parts)
        moment = datetime(year, month, day, hour, minute, second, tzinfo=zone)
    except ValueError as error:
        raise ValueError(f"{text!r} is no time: {error}") from error
    return (moment - _EPOCH) // timedelta(seconds=1) * SECOND + int((fraction or "").ljust(9, "0"))


def format_time(ns: int) -> str:
    """Write ns since 1970 UTC as RFC 3339 with nine fraction digits."""
    minutes, rest = divmod(ns, 60 * SECOND)
    return f"{_minute(minutes)}{rest // SECOND:02d}.{rest % SECOND:09d}Z"


@lru_cache(maxsize=16_384)
def _minute(number: int) -> str:
    """Write all of a time that comes before its seconds: points of one answer have few minutes, or the same ones."""
    return (_EPOCH + timedelta(minutes=number)).isoformat()[:17]


def parse_interval(text: str) -> int:
    """Read a width like 10s, 5m, 1h or 1d as ns. Raises ValueError with a sentence for the caller."""
    match = _INTERVAL.fullmatch(text)
    width = int(match[1]) * _UNITS[match[2]] if match else 0
    if width == 0:
        raise ValueError(f"{text!r} is no interval: write a number from 1 to 999999 and s, m, h or d, like 10s or 5m")
    if width > LATEST // 2:
        raise ValueError(f"{text!r} is longer than what times here can span")
    return width
