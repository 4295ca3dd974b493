"""ESPHome: `{id}/{type}/{object}/state`, one plain value, stored when it arrives."""

from collections.abc import Mapping

from simulators.formats.announcing import Announcing
from simulators.formats.singly import bare, singly
from simulators.formats.wire import Encoded, Rows, Stored
from simulators.models.model import Metric
from simulators.plan.devices import Device

_TYPES = {"number": "sensor", "boolean": "binary_sensor", "text": "text_sensor"}


class EspHome(Announcing):
    """Numbers are sensors, booleans binary sensors, ON or OFF, and texts text sensors. `{id}/status` is retained."""

    name = "esphome"

    @staticmethod
    def presence(device: Device) -> str:
        """Give the topic."""
        return f"{device.id}/status"

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store each object under its name."""
        return Stored(device.id, {metric: metric for metric in metrics}, resolution=0)

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        texts = {
            metric: (f"{_TYPES[rows.metrics[metric].type]}/{metric}/state".encode(), bare(column, b"ON", b"OFF"))
            for metric, column in rows.columns.items()
        }
        return singly(rows.devices, lambda device: f"{device.id}/".encode(), texts)
