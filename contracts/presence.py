"""Presence: what ingest has learnt about a device's connection, on `presence.N`."""

from typing import Literal

import msgspec

from contracts.wire import Wire


class Presence(msgspec.Struct, array_like=True, frozen=True):
    """One change.

    `online` and `offline` come from the device's status topic or its will; `seen` means that a device which is not
    registered has sent a reading, and asks for it to be registered. `described` carries `facts`: what a device says of
    itself, such as `name`, `model`, `firmware`, and `unit.METRIC` or `interval` (s); each replaces the one known
    before, an empty one removes it. `reason` says why it went online or offline, where that is known. `at` in ns since
    1970 UTC.
    """

    schema_version: Literal[1]
    device: str
    state: Literal["online", "offline", "seen", "described"]
    at: int
    reason: str = ""
    facts: dict[str, str] = {}


PRESENCE_MESSAGE = Wire(Presence)
