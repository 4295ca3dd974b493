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
    NO_IDENTITY = "no_identity"
    """Its convention leaves the device to the broker, which did not say who published."""
    UNKNOWN_ALIAS = "unknown_alias"
    """It names metrics by numbers that no birth certificate in force explains."""
    WRONG_TYPE = "wrong_type"
    """One or more values are not of the type that the device's profile says; the rest was stored."""
    OUT_OF_RANGE = "out_of_range"
    """One or more values are outside the range that the device's profile allows; the rest was stored."""
    BAD_UNIT = "bad_unit"
    """One or more values are in a unit that cannot be turned into the profile's; the rest was stored."""
    RATE_LIMITED = "rate_limited"
    """The device sends more than its profile allows. Counted, and not kept."""
    TOO_SLOW = "too_slow"
    """Decoding it took so long that it was given up."""
    TOO_LATE = "too_late"
    """It is older than raw points of its profile are kept."""
    NOT_STORED = "not_stored"
    """The time-series store refuses it, and always will."""
    UNKNOWN_SCHEMA = "unknown_schema"
    """A message on a stream has a schema version that its reader does not know."""
    EDITED = "edited"
    """An operator has replayed an edited copy of it; this is what had been rejected, kept to go back to."""
    UNEXPECTED = "unexpected"
    """Our bug: an exception that nobody foresaw; the traceback is in the detail."""


class DeadLetter(msgspec.Struct, array_like=True, frozen=True):
    """One rejected message.

    `received` in ns since 1970 UTC; `service` is who rejected it; `device` is empty where the message names none;
    `payload` holds the original bytes, also where only a part of them was rejected. `route` and `decoder` are the row
    of ingest's routing table and what read the message. `receiver` is the process that took it from the broker, by
    its client id; `properties` are the MQTT 5 ones: `content-type`, and user properties by their names.
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
    route: str = ""
    decoder: str = ""
    receiver: str = ""
    properties: dict[str, str] = {}


DEAD_LETTER = Wire(DeadLetter)
