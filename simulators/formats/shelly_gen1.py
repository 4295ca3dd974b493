"""Shelly, first generation: `shellies/{id}/sensor/{metric}`, one plain value, stored when it arrives."""

from collections.abc import Mapping

from simulators.formats.announcing import Announcing
from simulators.formats.singly import bare, singly
from simulators.formats.wire import Encoded, Rows, Stored
from simulators.formats.words import without
from simulators.models.model import Metric
from simulators.plan.devices import Device

_MEANT_OTHERWISE = {"announce", "info", "settings", "command", "set", "temperature_f", "act_reasons", "energy"}
"""Energy is in watt-minutes there."""


class ShellyGen1(Announcing):
    """`shellies/{id}/online` says true and false, retained."""

    name = "shelly-gen1"
    here, gone = b"true", b"false"

    @staticmethod
    def presence(device: Device) -> str:
        """Give the topic."""
        return f"shellies/{device.id}/online"

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store each value by the path that it has behind the device."""
        return Stored(
            device.id, {metric: f"sensor.{metric}" for metric in without(metrics, _MEANT_OTHERWISE)}, resolution=0
        )

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        columns = without(rows.columns, _MEANT_OTHERWISE)
        texts = {metric: (metric.encode(), bare(column)) for metric, column in columns.items()}
        return singly(rows.devices, lambda device: f"shellies/{device.id}/sensor/".encode(), texts)
