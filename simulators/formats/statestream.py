"""Home Assistant statestream: `hass/sensor/{object}/{field}`, the state and the attributes of an entity, retained.

An entity is a device, with one state: the first of its metrics that is no boolean. Its other numbers are attributes; of
those that are none nobody makes values.
"""

from collections.abc import Mapping

import msgspec

from simulators.formats.plain import Plain, said
from simulators.formats.singly import bare, singly
from simulators.formats.wire import Encoded, Rows, Stored
from simulators.models.model import Metric
from simulators.plan.devices import Device

_MEANT_OTHERWISE = {"state", "min", "max", "step", "supported_features"}


class Statestream(Plain):
    """Each value is stored when it arrives."""

    name = "statestream"

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store state and attributes of the entity. Raises ValueError for a model of booleans alone."""
        fields = _fields(metrics)
        if not fields:
            raise ValueError("an entity's state is a number or a text, and the model has neither")
        return Stored(f"sensor.{_object(device)}", fields, resolution=0)

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        texts = {
            metric: (field.encode(), bare(rows.columns[metric])) for metric, field in _fields(rows.metrics).items()
        }
        return singly(rows.devices, lambda device: f"hass/sensor/{_object(device)}/".encode(), texts, retain=True)

    def opening(self, rows: Rows) -> Encoded:
        """Tell the entities' names, and the units of their states."""
        topics, payloads, places = [], [], []
        first = next((name for name, field in _fields(rows.metrics).items() if field == "state"), "")
        for row, device in enumerate(rows.devices):
            about = {"friendly_name": device.id}
            if unit := rows.metrics[first].unit:
                about["unit_of_measurement"] = unit
            for field, text in about.items():
                topics.append(f"hass/sensor/{_object(device)}/{field}".encode())
                payloads.append(msgspec.json.encode(text))
                places.append(row)
        return said(topics, payloads, places, retain=True)


def _fields(metrics: Mapping[str, Metric]) -> dict[str, str]:
    """Give the names of state and attributes."""
    first = next((name for name, metric in metrics.items() if metric.type != "boolean"), "")
    return {
        name: "state" if name == first else name
        for name, metric in metrics.items()
        if name == first or (metric.type == "number" and name not in _MEANT_OTHERWISE)
    }


def _object(device: Device) -> str:
    return device.id.replace("-", "_")
