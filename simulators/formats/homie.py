"""Homie 4: `homie/{id}/readings/{property}`, one plain value, retained, and stored when it arrives."""

from collections.abc import Iterator, Mapping

from simulators.formats.announcing import Announcing
from simulators.formats.plain import said
from simulators.formats.singly import bare, singly
from simulators.formats.wire import Encoded, Rows, Stored, Will
from simulators.models.model import Metric
from simulators.plan.devices import Device

_NODE = "readings"
_DATATYPES = {"number": "float", "boolean": "boolean", "text": "string"}


class Homie(Announcing):
    """A device first tells its properties with types and units, then `$state`, ready; its will is lost."""

    name = "homie"
    here, gone = b"ready", b"disconnected"

    @staticmethod
    def presence(device: Device) -> str:
        """Give the topic."""
        return f"homie/{device.id}/$state"

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store each property by node and property."""
        return Stored(device.id, {metric: f"{_NODE}.{_property(metric)}" for metric in metrics}, resolution=0)

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        texts = {metric: (_property(metric).encode(), bare(column)) for metric, column in rows.columns.items()}
        return singly(rows.devices, lambda device: f"homie/{device.id}/{_NODE}/".encode(), texts, retain=True)

    def opening(self, rows: Rows) -> Encoded:
        """Describe the devices, and say that they are ready."""
        topics, payloads, places = [], [], []
        about = [*_about(rows.metrics)]
        for row, device in enumerate(rows.devices):
            for attribute, text in (("$name", device.id), *about, ("$state", "ready")):
                topics.append(f"homie/{device.id}/{attribute}".encode())
                payloads.append(text.encode())
                places.append(row)
        return said(topics, payloads, places, retain=True)

    def will(self, device: Device) -> Will | None:
        """Have it said that it is lost."""
        return Will(self.presence(device).encode(), b"lost")


def _about(metrics: Mapping[str, Metric]) -> Iterator[tuple[str, str]]:
    """Give the attributes that devices of one kind have in common, and their texts."""
    yield "$homie", "4.0.0"
    yield "$nodes", _NODE
    yield f"{_NODE}/$name", "Readings"
    yield f"{_NODE}/$properties", ",".join(map(_property, metrics))
    for name, metric in metrics.items():
        yield f"{_NODE}/{_property(name)}/$datatype", _DATATYPES[metric.type]
        if metric.unit:
            yield f"{_NODE}/{_property(name)}/$unit", metric.unit


def _property(metric: str) -> str:
    """Spell a name as Homie allows it, without underscores."""
    return metric.replace("_", "-")
