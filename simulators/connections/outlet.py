"""What a connection promises to the sender, and what it tells it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from simulators.formats.wire import Will
from simulators.plan.devices import Device

Outgoing = tuple[int, bytes, bytes, int]
"""A message on its way out: its number in the run, topic, payload, and flags (RETAIN, DUP, AS_IS). QoS is 1.

A plain tuple, since one is made for each message.
"""


AS_IS = 0x100
"""Of the flags of a message: it is not to be stamped. It is no bit of the packet's."""


class Outlet(Protocol):
    """A connection that is kept up, shared by one or more devices.

    Messages leave it in the order in which they were given. What is given while there is no connection, or while the
    window is full, waits in it. After a reconnection what was not acknowledged is sent again, with DUP, then the rest;
    where messages are stamped, what the listener has to say comes first, and then the others, stamped anew.
    """

    @property
    def up(self) -> bool:
        """Whether the broker has accepted a connection that is not lost, as far as it knows."""

    @property
    def unacked(self) -> int:
        """How many messages were given to it and are not acknowledged, those not yet sent included."""

    def start(self) -> None:
        """Connect in the background, and stay connected."""

    def send(self, messages: Sequence[Outgoing]) -> None:
        """Publish at QoS 1, now or when there is a connection."""

    def act(self, kind: str, seconds: float, amount: float) -> None:
        """Let something happen to the connection for `seconds`: see `simulators.faults.injector.Act`."""

    async def stop(self, seconds: float) -> None:
        """Wait up to `seconds` for acknowledgements, disconnect, and release everything."""


class Listener(Protocol):
    """Is told what happens on an outlet, in the event loop's thread. Instants are ns since 1970."""

    def connected(self, outlet: Outlet) -> None:
        """Hear that the broker has accepted the connection; what is sent from within goes out before what waits."""

    def lost(self, outlet: Outlet, reason: str) -> None:
        """Hear that the connection is no more."""

    def sent(self, numbers: Sequence[int], at: int) -> None:
        """Hear that messages were handed to the operating system for the first time."""

    def acked(self, numbers: Sequence[int], at: int) -> None:
        """Hear that the broker's PUBACKs for these messages came."""

    def received(self, outlet: Outlet, topic: str, payload: bytes) -> None:
        """Hear a message of a topic that was subscribed to."""


@dataclass(frozen=True)
class Line:
    """What a connection is for: whose it is, and what it tells the broker when it is made.

    `devices` publish by it; the first is the one whose credentials it uses. The session is kept by the broker under
    `client_id`, unless it is not `kept`. `will` is asked for before each connection. `stamp` completes a payload, given
    its topic, whenever it is written.
    """

    client_id: str
    devices: Sequence[Device]
    will: Callable[[], Will | None] = lambda: None
    subscriptions: Sequence[str] = ()
    kept: bool = True
    stamp: Callable[[bytes, bytes], bytes] | None = None

    def stamped(self, messages: Iterable[Outgoing]) -> list[Outgoing]:
        """Complete messages, in the order in which they are written at once."""
        stamp = self.stamp
        if stamp is None:
            return list(messages)
        return [
            (number, topic, payload if flags & AS_IS else stamp(topic, payload), flags & ~AS_IS)
            for number, topic, payload, flags in messages
        ]


Connect = Callable[[Line, Listener], Outlet]
"""Makes a connection, which is then to be started."""
