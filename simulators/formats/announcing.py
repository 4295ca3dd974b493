"""Conventions whose devices say on a topic of their own whether they are there, retained; it is also their will."""

from abc import abstractmethod
from collections.abc import Sequence

from simulators.formats.plain import Plain, said
from simulators.formats.wire import Encoded, Rows, Will
from simulators.plan.devices import Device


class Announcing(Plain):
    """The part of a Format that says so; a convention gives the topic, and its two words where they are others."""

    here, gone = b"online", b"offline"

    @staticmethod
    @abstractmethod
    def presence(device: Device) -> str:
        """Give the topic."""

    def opening(self, rows: Rows) -> Encoded:
        """Say that they are there."""
        return self._say(rows.devices, self.here)

    def closing(self, devices: Sequence[Device]) -> Encoded:
        """Say that they leave."""
        return self._say(devices, self.gone)

    def will(self, device: Device) -> Will | None:
        """Have it said that it is gone."""
        return Will(self.presence(device).encode(), self.gone)

    def _say(self, devices: Sequence[Device], what: bytes) -> Encoded:
        count = len(devices)
        return said(
            [self.presence(device).encode() for device in devices], [what] * count, [*range(count)], retain=True
        )
