"""Messages that wait for their acknowledgement, and what is known of those that may come again. Pure."""

from collections.abc import Iterable

import msgspec

from ingest.outcomes import Arrival
from ingest.packets import Publish

_MOST_EXPECTED = 65_535
_EXPECTED_NS = 60_000_000_000
"""How long after a reconnection, or its own late acknowledgement, a message is expected to come again."""

_LATE_NS = 1_000_000_000
"""Of what was held for longer, the broker may have sent copies that are still on their way."""


class Receipt(msgspec.Struct, gc=False, eq=False):
    """A message as it was taken, and the packet that acknowledges it."""

    ack: bytes
    arrival: Arrival


class Inflight:
    """Knows what one session holds, over its connections.

    An acknowledgement is good for the connection alone over which the message came: a broker that lost its memory in
    a crash gives the same packet identifiers to other messages. So `lost` forgets them all, and the broker, which has
    not had its PUBACKs, sends the messages again. A reading without a time of its own must then get the same one
    again, or it would be stored as two.
    """

    def __init__(self) -> None:
        self._held: dict[bytes, Receipt] = {}
        self._before: dict[int, list[int]] = {}  # hash of a message that may come again -> when it was received
        self._before_until = 0

    def __len__(self) -> int:
        return len(self._held)

    def is_repeat(self, publish: Publish) -> bool:
        """Whether this is a message that is held, sent again because its PUBACK is so long in coming."""
        first = self._held.get(publish.ack)
        return first is not None and first.arrival.payload == publish.payload and first.arrival.topic == publish.topic

    def hold(self, receipt: Receipt) -> None:
        """Keep a message until it is settled."""
        self._held[receipt.ack] = receipt

    def settle(self, receipts: Iterable[object], now: int) -> tuple[list[bytes], int]:
        """Let go of messages that are on disk.

        Returns the acknowledgements to send, in the same order, and of how many messages the connection has gone.
        """
        held, acks, gone = self._held, [], 0
        late: list[Arrival] = []
        for receipt in receipts:
            if type(receipt) is not Receipt:
                continue
            if held.get(receipt.ack) is receipt:
                del held[receipt.ack]
                acks.append(receipt.ack)
                if now - receipt.arrival.received > _LATE_NS:
                    late.append(receipt.arrival)
            else:
                gone += 1
        if late:
            self.expect(late, now)
        return acks, gone

    def lost(self, now: int) -> None:
        """Forget what was held over a connection that has ended: it can only be acknowledged when it comes again."""
        self.expect([receipt.arrival for receipt in self._held.values()], now)
        self._held.clear()

    def resumed(self, now: int, *, session_present: bool) -> None:
        """Begin another connection. Nothing comes again from a broker that has forgotten the session."""
        if not session_present:
            self._before.clear()
        self._before_until = now + _EXPECTED_NS

    def expect(self, arrivals: list[Arrival], now: int) -> None:
        """Keep when messages were received that may come again."""
        if now > self._before_until or sum(map(len, self._before.values())) > _MOST_EXPECTED:
            self._before.clear()
        self._before_until = now + _EXPECTED_NS
        for arrival in arrivals:
            self._before.setdefault(hash((arrival.topic, arrival.payload)), []).append(arrival.received)

    def received(self, publish: Publish, now: int) -> int:
        """When a message was received first, if it is sent again and that is known; or else `now`.

        What was expected too long ago is forgotten: a later message may well say the same, and must keep its own time.
        """
        if not publish.dup or not self._before:
            return now
        if now > self._before_until:
            self._before.clear()
        key = hash((publish.topic, publish.payload))
        times = self._before.get(key)
        if not times:
            return now
        first = times.pop(0)
        if not times:
            del self._before[key]
        return first
