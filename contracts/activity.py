"""Activity: which devices have sent readings since the last one, on the subject `activity`."""

from typing import Literal

import msgspec

from contracts.wire import Wire

MOST_DEVICES = 20_000
"""Most devices of one message: with the longest ids it is then below 6 MiB. More of them are several messages."""


class Heard(msgspec.Struct, array_like=True, frozen=True):
    """What one device has sent: `messages` is how many, `last` when the newest was received, ns since 1970 UTC."""

    messages: int
    last: int


class Activity(msgspec.Struct, array_like=True, frozen=True):
    """What one ingest has stored since its last Activity, by device; written at `at`, ns since 1970 UTC.

    Only messages count of which one or more readings are on disk. Each message is in one Activity of one ingest: the
    counts of all of them are to be added up. `last` of a replayed message is when it was first received, so that of
    two the later one holds.
    """

    schema_version: Literal[1]
    at: int
    devices: dict[str, Heard]


ACTIVITY_MESSAGE = Wire(Activity)
