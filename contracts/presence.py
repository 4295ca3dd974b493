"""Presence: what ingest has learnt about a device's connection, on `presence.N`."""

from typing import Literal

import msgspec

from contracts.wire import Wire


class Presence(msgspec.Struct, array_like=True, frozen=True):
    """One change.

    `online` and `offline` come from the device's status topic or its will; `seen` means that a device which is not
    registered has sent a reading, and asks for it to be registered. `at` in ns since 1970 UTC.
    """

    schema_version: Literal[1]
    device: str
    state: Literal["online", "offline", "seen"]
    at: int


PRESENCE_MESSAGE = Wire(Presence)
