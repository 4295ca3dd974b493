"""What can become of a message: the outcomes, their reasons, and what decoding found."""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

import msgspec

from contracts.deadletters import Reason
from contracts.readings import Reading
from contracts.uplink import Uplink

_NAMED = 20
NO_PROPERTIES: dict[str, str] = {}
"""Shared by the many messages that have none; never changed."""


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A message as it came.

    `received` in ns since 1970 UTC. `retained`: the broker had kept it for us. `replayed`: it was a dead letter, and is
    none that its device sends now; `about` is then the one device whose part is to be taken, or empty for all of it.
    `properties` are the MQTT 5 ones: `content-type`, and user properties by their names.
    """

    topic: str
    payload: bytes
    received: int
    retained: bool = False
    replayed: bool = False
    properties: dict[str, str] = NO_PROPERTIES
    about: str = ""


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
    METADATA = "metadata"
    """It describes a device: its name, model, units, discovery. What is useful of it was kept."""
    COMMAND = "command"
    """A command to a device, its reply, or another exchange that is none of ours."""
    EVENT = "event"
    """Something happened, and no measurement comes with it."""
    REPEAT = "repeat"
    """The same message was taken moments ago: senders and gateways repeat theirs."""
    OUTDATED = "outdated"
    """It tells of a connection which another one has followed."""
    TRANSIENT = "transient"
    """Its sender says that it is not to be kept."""
    FOREIGN_ADVERT = "foreign_advert"
    """A gateway heard a device of somebody else's."""
    UNDECODED_ADVERT = "undecoded_advert"
    """A gateway heard a device and could not read it."""
    UNCONFIRMED = "unconfirmed"
    """Heard for the first time, without a checksum, from a device that nobody registered: it may be noise."""
    NO_CODEC = "no_codec"
    """The network server had no codec for the device, and passed on its bytes alone."""
    PRIVATE = "private"
    """It is encrypted, or a message between people."""
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

    def __iter__(self) -> Iterator[tuple[Reason, str]]:
        """Give those whose words are kept, each with its reason, in the order in which they were found."""
        return iter(self._found)

    @property
    def reason(self) -> Reason:
        """Give the reason of the first."""
        return self._found[0][0]

    @property
    def detail(self) -> str:
        """Name them all, or the first few and how many more there are."""
        words = "; ".join(what for _, what in self._found)
        return f"{words}; and {self._more} more" if self._more else words


class State(msgspec.Struct, frozen=True):
    """A device went online or offline at `at`, ns since 1970 UTC; `reason` where the message gives one."""

    device: str
    online: bool
    at: int
    reason: str = ""


Notes = Mapping[str, Mapping[str, str]]
"""Something known of the metrics of devices: device -> metric -> what is known."""


class Decoded(msgspec.Struct):
    """What decoding found in one message.

    `readings`: what is good. `problems`: what is not. `ignored`: why there is nothing, if that is in order. `left_out`
    counts the parts that are in order and make no reading, by why. `units`: in what the message's numbers are, where it
    says so. `spelled`: the text that a number stood in. `states`: devices that went online or offline. `facts`: what
    devices say of themselves, for the registry. `requests`: topics and payloads to publish. `device`: whose message it
    is, where the route does not tell and the decoder does. `uplink`: the message itself, where it is to be passed on.
    """

    readings: Sequence[Reading]
    problems: Problems | None = None
    ignored: Ignored | None = None
    left_out: Mapping[Ignored, int] | None = None
    units: Notes | None = None
    spelled: Notes | None = None
    states: Sequence[State] = ()
    facts: Notes | None = None
    requests: Sequence[tuple[str, bytes]] = ()
    device: str = ""
    uplink: Uplink | None = None

    @property
    def clean(self) -> bool:
        """Whether there is nothing but readings in the units that the registry expects."""
        return (
            self.problems is None
            and self.left_out is None
            and self.units is None
            and self.spelled is None
            and not self.states
            and self.facts is None
            and not self.requests
            and self.uplink is None
        )


def rejected(reason: Reason, what: str) -> Decoded:
    """Reject a whole message."""
    problems = Problems()
    problems.add(reason, what)
    return Decoded((), problems)


def about(device: str, decoded: Decoded) -> Decoded:
    """Say whose message it is that has problems: its topic tells that even where nothing in it can be read."""
    if decoded.problems is not None and not decoded.device:
        decoded.device = device
    return decoded


def ignored(reason: Ignored) -> Decoded:
    """Ignore a whole message."""
    return Decoded((), ignored=reason)
