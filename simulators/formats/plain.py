"""What most conventions have in common: nothing to say but readings, nothing to hear, nothing to count."""

from collections.abc import Sequence

from simulators.formats.wire import Encoded, Rows, Will
from simulators.plan.devices import Device


class Plain:
    """The part of a Format that has nothing to do; a convention overrides what it does."""

    session = False

    def opening(self, rows: Rows) -> Encoded:
        """Say nothing."""
        del rows
        return said([], [], [])

    def closing(self, devices: Sequence[Device]) -> Encoded:
        """Say nothing."""
        del devices
        return said([], [], [])

    def will(self, device: Device) -> Will | None:
        """Leave none."""
        del device
        return None

    def subscriptions(self, device: Device) -> list[str]:
        """Listen to nothing."""
        del device
        return []

    def asks(self, device: Device, topic: str, payload: bytes) -> bool:
        """Ask for nothing."""
        del device, topic, payload
        return False

    def stamp(self, topic: bytes, payload: bytes) -> bytes:
        """Leave it as it is."""
        del topic
        return payload


def said(topics: list[bytes], payloads: list[bytes], rows: list[int], *, retain: bool = False) -> Encoded:
    """Give messages that carry no readings, each of a row."""
    count = len(topics)
    return Encoded(topics, payloads, rows, [()] * count, set(range(count)) if retain else set())
