"""DeadLetter: a message that could not be taken, with everything that is needed to understand and replay it."""

from enum import StrEnum
from typing import Literal

import msgspec

from contracts.wire import Wire


class Reason(StrEnum):
    """Why a message, or a part of one, was rejected. The set is closed: reasons are labels of metrics."""

    MALFORMED = "malformed"
    """The payload is not what its topic promises: not JSON, not an object, not UTF-8."""
    BAD_VALUE = "bad_value"
    """One or more values are no number, boolean or text; the rest of the message was stored."""
    BAD_TIME = "bad_time"
    """The time is none that can be read."""
    BAD_DEVICE = "bad_device"
    """The topic's device id cannot be one."""
    TOO_LARGE = "too_large"
    """A limit was passed: bytes, nesting, points or length of a name."""
    UNKNOWN_DEVICE = "unknown_device"
    """The device is not registered, and unknown devices are quarantined."""
    DEVICE_DISABLED = "device_disabled"
    """The device is registered and disabled."""
    UNKNOWN_SCHEMA = "unknown_schema"
    """A message on a stream has a schema version that its reader does not know."""
    UNEXPECTED = "unexpected"
    """Our bug: an exception that nobody foresaw; the traceback is in the detail."""


class DeadLetter(msgspec.Struct, array_like=True, frozen=True):
    """One rejected message.

    `received` in ns since 1970 UTC; `service` is who rejected it; `device` is empty where the topic names none;
    `payload` holds the original bytes, also where only a part of them was rejected.
    """

    schema_version: Literal[1]
    reason: str
    detail: str
    topic: str
    payload: bytes
    received: int
    service: str
    device: str = ""
    retained: bool = False


DEAD_LETTER = Wire(DeadLetter)
