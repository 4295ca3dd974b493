"""Home Assistant discovery: devices announce themselves below `homeassistant/`, and send an object with all values.

The state's topic is below the same prefix, as in Home Assistant's own example: whoever listens there for configs hears
it from the first message on.
"""

from collections.abc import Mapping

import msgspec

from simulators.formats.announcing import Announcing
from simulators.formats.plain import said
from simulators.formats.texts import objects
from simulators.formats.wire import Encoded, Rows, Stored
from simulators.models.model import Metric
from simulators.plan.devices import Device

_encode = msgspec.json.Encoder().encode


class HomeAssistant(Announcing):
    """A retained config for each metric; `homeassistant/sensor/{id}/state` is stored when it arrives."""

    name = "home-assistant"

    @staticmethod
    def presence(device: Device) -> str:
        """Give the topic."""
        return f"homeassistant/sensor/{device.id}/availability"

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store what is announced, under the names of the objects."""
        return Stored(device.id, {metric: metric for metric in metrics}, resolution=0)

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        return Encoded([_state(device).encode() for device in rows.devices], objects(rows.columns, len(rows.devices)))

    def opening(self, rows: Rows) -> Encoded:
        """Announce the devices, and say that they are online."""
        topics, payloads, places = [], [], []
        for row, device in enumerate(rows.devices):
            for name, metric in rows.metrics.items():
                component = "binary_sensor" if metric.type == "boolean" else "sensor"
                topics.append(f"homeassistant/{component}/{device.id}/{name}/config".encode())
                payloads.append(_encode(_config(self.presence(device), device, name, metric)))
                places.append(row)
            topics.append(self.presence(device).encode())
            payloads.append(self.here)
            places.append(row)
        return said(topics, payloads, places, retain=True)


def _state(device: Device) -> str:
    return f"homeassistant/sensor/{device.id}/state"


def _config(availability: str, device: Device, name: str, metric: Metric) -> dict[str, object]:
    """Describe a metric, with the short keys that firmware uses."""
    config: dict[str, object] = {
        "name": name,
        "uniq_id": f"{device.id}_{name}",
        "stat_t": _state(device),
        "val_tpl": f"{{{{ value_json.{name} }}}}",
        "avty_t": availability,
        "dev": {"ids": [device.id], "name": device.id, "mf": "Sensorium"},
    }
    if metric.unit:
        config["unit_of_meas"] = metric.unit
    if metric.type == "boolean":  # as a template writes what JSON calls true
        config |= {"pl_on": "True", "pl_off": "False"}
    return config
