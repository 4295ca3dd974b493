"""A device as the registry holds it, and what may be changed of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict

import msgspec

from contracts.devices import DEFAULT_PROFILE, Calibration


@dataclass(frozen=True)
class NewDevice:
    """A device to register."""

    id: str
    name: str
    profile: str = DEFAULT_PROFILE
    tags: dict[str, str] = field(default_factory=dict)
    enabled: bool = True
    zone: str = ""
    calibration: dict[str, list[Calibration]] = field(default_factory=dict)
    groups: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True)
class Device:
    """A registered device. Times in ns since 1970 UTC.

    `calibration`, by metric, goes before the profile's. `facts` is what it says of itself; only `get` reads them.
    `online` is None, and `last_changed` too, until the device has told of itself; `reason` says why, where it did.
    `last_seen` is when its newest message came of which something is stored, `messages` how many there have been.
    `groups` are those that it is in, of those that whoever asks may see, in order; not those above them. `attributes`
    hold any JSON. `latitude` and `longitude` in degrees (WGS 84), both or neither. `deleted` is when it was, if it is.
    Each change by a person makes a `version` of it, one more than the last.
    """

    id: str
    name: str
    profile: str
    tags: dict[str, str]
    enabled: bool
    created: int
    updated: int
    zone: str = ""
    calibration: dict[str, list[Calibration]] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    online: bool | None = None
    last_changed: int | None = None
    reason: str | None = None
    last_seen: int | None = None
    messages: int = 0
    groups: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    latitude: float | None = None
    longitude: float | None = None
    deleted: int | None = None
    version: int = 1


class ListedDevice(msgspec.Struct, frozen=True):
    """A device as lists have it: the same, without calibration and facts, and its JSON as the database has it."""

    id: str
    name: str
    profile: str
    enabled: bool
    zone: str
    created: int
    updated: int
    latitude: float | None
    longitude: float | None
    deleted: int | None
    version: int
    online: bool | None
    last_changed: int | None
    reason: str | None
    last_seen: int | None
    messages: int
    tags: msgspec.Raw
    attributes: msgspec.Raw
    groups: list[str]


class Change(TypedDict, total=False):
    """What a change replaces; `tags`, `groups`, `attributes` and `calibration` are replaced as a whole."""

    name: str
    profile: str
    tags: dict[str, str]
    enabled: bool
    zone: str
    calibration: dict[str, list[Calibration]]
    groups: list[str]
    attributes: dict[str, Any]
    latitude: float | None
    longitude: float | None


@dataclass(frozen=True)
class Online:
    """Whether a device is online, since `changed`, and when and why the last message (`at`) said so."""

    online: bool
    changed: int
    at: int
    reason: str = ""

    def hear(self, *, online: bool, at: int, reason: str = "") -> "Online":
        """Take in one more message; the last by `at` wins, and of two with the same `at` the one heard later."""
        if at < self.at:
            return self
        return Online(online, self.changed if online == self.online else at, at, reason)


MOST_FACTS = 200
LONGEST_FACT_NAME = 256
LONGEST_FACT = 1024
"""Most facts of a device, and the longest name and value in bytes of UTF-8; what goes beyond is refused."""


def learn(known: Mapping[str, str], told: Mapping[str, str]) -> tuple[dict[str, str], int]:
    """Merge what a device says of itself into what is known: an empty fact removes it.

    Returns all that is known then, and how many facts were refused.
    """
    facts, refused = dict(known), 0
    for name, value in told.items():
        if not value:
            facts.pop(name, None)
        elif (
            "\0" not in name + value  # no text of a database has it
            and 0 < _size(name) <= LONGEST_FACT_NAME
            and _size(value) <= LONGEST_FACT
            and (name in facts or len(facts) < MOST_FACTS)
        ):
            facts[name] = value
        else:
            refused += 1
    return facts, refused


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
