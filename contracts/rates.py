"""Rates as profiles and settings write them: token buckets, `CAPACITY:SECONDS` each, all of which have to hold."""

import re
from typing import NamedTuple

MOST_BUCKETS = 4
MOST_CAPACITY = 1_000_000_000
LONGEST_S = 86_400 * 31

_BUCKET = re.compile(r"\s*([0-9]{1,10}):([0-9]{1,10})\s*")


class Bucket(NamedTuple):
    """A bucket of `capacity` tokens, which fills from empty in `seconds`."""

    capacity: int
    seconds: int


def parse_rate(text: str) -> tuple[Bucket, ...]:
    """Read a rate such as `20:1,600:60`: 20 in a second and 600 in a minute. Empty, or only spaces: no limit.

    Raises ValueError with a sentence for whoever wrote it.
    """
    if not text.strip():
        return ()
    parts = text.split(",")
    if len(parts) > MOST_BUCKETS:
        raise ValueError(f"a rate has at most {MOST_BUCKETS} parts; this one has {len(parts)}")
    return tuple(map(_bucket, parts))


def _bucket(part: str) -> Bucket:
    match = _BUCKET.fullmatch(part)
    if match is None:
        raise ValueError(f"{part[:40]!r} is no rate: write CAPACITY:SECONDS in whole numbers, as in 20:1,600:60")
    bucket = Bucket(int(match[1]), int(match[2]))
    if not 1 <= bucket.capacity <= MOST_CAPACITY:
        raise ValueError(f"the capacity in {part.strip()!r} has to be from 1 to {MOST_CAPACITY}")
    if not 1 <= bucket.seconds <= LONGEST_S:
        raise ValueError(f"the seconds in {part.strip()!r} have to be from 1 to {LONGEST_S}")
    return bucket
