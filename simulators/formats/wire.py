"""What a wire format promises, and what it is given and gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from contracts.readings import Value
from simulators.models.model import Metric
from simulators.plan.devices import Device


class Rows(NamedTuple):
    """Readings to be sent, in columns: `devices[i]` measured `columns[metric][i]` at `ts[i]` (ns, its own clock).

    None stands for a metric that a reading leaves out. `ts` is None for a device whose clock was never set. `metrics`
    are the model's: what each column is, in which unit.
    """

    devices: Sequence[Device]
    ts: Sequence[int | None]
    columns: Mapping[str, Sequence[Value | None]]
    metrics: Mapping[str, Metric]


@dataclass(slots=True)
class Encoded:
    """Messages, in columns: topic and payload of each, in the order in which they are sent.

    `rows` tells which row a message is of; None: message `i` is row `i`, and there is one for each row. `metrics` tells
    which of the model's metrics each carries; None: each carries all of its row. `retained` holds the places of those
    that are to be retained. `said` holds for each message, by the name under which it is stored, what the wire says in
    place of a metric that it has to round, or besides the model's metrics, such as the number of a packet.
    """

    topics: list[bytes]
    payloads: list[bytes]
    rows: list[int] | None = None
    metrics: list[tuple[str, ...]] | None = None
    retained: set[int] = field(default_factory=set)
    said: Mapping[str, Sequence[Value | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stored:
    """What the pipeline is to make of a device's readings.

    `device` is the id that it is stored under, `metrics` maps each metric of the model that the format carries to the
    name under which it is stored. `resolution` is what the wire can tell apart, in ns: a reading is stored at `ts` less
    `ts % resolution`; with 0 it carries no time, and is stored when it arrives.
    """

    device: str
    metrics: Mapping[str, str]
    resolution: int = 1


class Will(NamedTuple):
    """What the broker publishes when a connection is lost."""

    topic: bytes
    payload: bytes
    retain: bool = True


class Format(Protocol):
    """One convention. It keeps no state but counters that a session needs; the same rows give the same messages.

    Values go through it unchanged: what is stored equals what the model gave, to the last bit, unless `Encoded.said`
    says what it is.
    """

    name: str
    session: bool
    """Whether `stamp` has to see every message when it is written, but for those that are to be rejected."""

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Say what the pipeline is to store. Raises ValueError for a model that the format cannot carry at all."""

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""

    def opening(self, rows: Rows) -> Encoded:
        """Write what each device says first on a new connection, or when asked again: births, discovery, `online`.

        `rows` holds what each measures at that moment, one row a device.
        """

    def closing(self, devices: Sequence[Device]) -> Encoded:
        """Write what devices say before they leave; `rows` are places in `devices`, and no metrics are carried."""

    def will(self, device: Device) -> Will | None:
        """Give the will of the connection that is this device's own, once for each attempt to connect."""

    def subscriptions(self, device: Device) -> list[str]:
        """Give the topics that the device listens to, without wildcards."""

    def asks(self, device: Device, topic: str, payload: bytes) -> bool:
        """Whether a message that the device received asks for its opening again, as a Sparkplug rebirth does."""

    def stamp(self, topic: bytes, payload: bytes) -> bytes:
        """Complete a payload at the moment when it is written, as by a sequence number; anew when it is sent again."""
