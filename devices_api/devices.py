"""A device as the registry holds it, and what may be changed of it."""

from dataclasses import dataclass, field
from typing import TypedDict

DEFAULT_PROFILE = "default"


@dataclass(frozen=True)
class NewDevice:
    """A device to register."""

    id: str
    name: str
    profile: str = DEFAULT_PROFILE
    tags: dict[str, str] = field(default_factory=dict)
    enabled: bool = True


@dataclass(frozen=True)
class Device:
    """A registered device. Times in ns since 1970 UTC.

    `online` is None, and `last_changed` too, until the device has told of itself.
    """

    id: str
    name: str
    profile: str
    tags: dict[str, str]
    enabled: bool
    created: int
    updated: int
    online: bool | None = None
    last_changed: int | None = None


class Change(TypedDict, total=False):
    """What a change replaces; `tags` are replaced as a whole."""

    name: str
    profile: str
    tags: dict[str, str]
    enabled: bool


@dataclass(frozen=True)
class Online:
    """Whether a device is online, since `changed`, and when the message that said so last was sent (`at`)."""

    online: bool
    changed: int
    at: int

    def hear(self, *, online: bool, at: int) -> "Online":
        """Take in one more message; the last by `at` wins, and of two with the same `at` the one heard later."""
        if at < self.at:
            return self
        return Online(online, self.changed if online == self.online else at, at)
