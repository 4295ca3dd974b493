"""What can become of a message: the outcomes, their reasons, and what decoding found."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from contracts.deadletters import Reason
from contracts.readings import Reading

_NAMED = 20


class Arrival(msgspec.Struct, frozen=True):
    """A message as it came; `received` in ns since 1970 UTC, `retained` if the broker had kept it for us."""

    topic: str
    payload: bytes
    received: int
    retained: bool = False


class Outcome(StrEnum):
    """Each message ends in one of these, and is counted in it once.

    A message that is neither yet is busy: held, unacknowledged, until the stream has taken it.
    """

    STORED = "stored"
    REJECTED = "rejected"
    IGNORED = "ignored"


class Ignored(StrEnum):
    """Why a message made no reading, and none was missed. The set is closed: these are labels of a metric."""

    EMPTY = "empty"
    """No payload, or nothing in it."""
    NO_VALUE = "no_value"
    """All its values were null, or said that there is none."""
    RETAINED_UNTIMED = "retained_untimed"
    """A retained message without a usable time of its own: nobody knows how old it is."""
    PRESENCE = "presence"
    """It says that a device is online or offline, and was passed on as that."""
    UNKNOWN_DEVICE = "unknown_device"
    """Presence of a device that nobody registered, where unknown devices are quarantined."""
    UNSUPPORTED = "unsupported"
    """A topic or convention that has no decoder here."""


class Problems:
    """What is wrong with a message: the first reason, and all of them in words."""

    def __init__(self) -> None:
        self._found: list[tuple[Reason, str]] = []
        self._more = 0

    def add(self, reason: Reason, what: str) -> None:
        """Note one; the words of the first few are kept."""
        if len(self._found) < _NAMED:
            self._found.append((reason, what))
        else:
            self._more += 1

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def reason(self) -> Reason:
        """Give the reason of the first."""
        return self._found[0][0]

    @property
    def detail(self) -> str:
        """Name them all, or the first few and how many more there are."""
        words = "; ".join(what for _, what in self._found)
        return f"{words}; and {self._more} more" if self._more else words


class Decoded(msgspec.Struct):
    """What decoding found in one message.

    `readings`: what is good. `problems`: what is not. `no_values`: values that said there is none. `untimed`: readings
    left out because they were retained and had no time. `ignored`: why there is nothing, if that is in order.
    """

    readings: Sequence[Reading]
    problems: Problems | None = None
    no_values: int = 0
    untimed: int = 0
    ignored: Ignored | None = None

    @property
    def clean(self) -> bool:
        """Whether there is nothing but readings."""
        return self.problems is None and not self.no_values and not self.untimed


def rejected(reason: Reason, what: str) -> Decoded:
    """Reject a whole message."""
    problems = Problems()
    problems.add(reason, what)
    return Decoded((), problems)
