"""Cumulocity SmartREST 2.0: `c8y/{id}/s/us`, lines of CSV. The broker puts two levels before the device's own topic.

Devices are known to their broker alone, by the client id; here the broker says it by a level of the topic.
"""

from collections.abc import Mapping

from simulators.formats.plain import Plain
from simulators.formats.texts import iso, written
from simulators.formats.wire import Encoded, Rows, Stored
from simulators.models.model import Metric
from simulators.plan.devices import Device

_FRAGMENT = "c8y_Readings"
_MS = 1_000_000


class SmartRest(Plain):
    """A reading is one line, template 201, with the series of one fragment: numbers, so others are left out."""

    name = "smartrest"

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store each series behind its fragment. Raises ValueError for a model without numbers."""
        found = {metric: f"{_FRAGMENT}.{metric}" for metric in _numbers(metrics)}
        if not found:
            raise ValueError("SmartREST carries numbers, and the model has none")
        return Stored(device.id, found, _MS)

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        units = {name: rows.metrics[name].unit for name in _numbers(rows.metrics)}
        columns = [
            [
                text and f",{_FRAGMENT},{name},".encode() + text + f",{unit}".encode()
                for text in written(rows.columns[name])
            ]
            for name, unit in units.items()
        ]
        topics, payloads, places = [], [], []
        for row, (device, ts) in enumerate(zip(rows.devices, rows.ts, strict=True)):
            series = [text for column in columns if (text := column[row])]
            if series:
                topics.append(f"c8y/{device.id}/s/us".encode())
                payloads.append(b"201,readings,%b%b" % (_time(ts), b"".join(series)))
                places.append(row)
        return Encoded(topics, payloads, places, [tuple(units)] * len(places))


def _numbers(metrics: Mapping[str, Metric]) -> list[str]:
    return [name for name, metric in metrics.items() if metric.type == "number"]


def _time(ts: int | None) -> bytes:
    return b"" if ts is None else iso(ts, 3) + b"Z"
