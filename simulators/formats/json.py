"""Sensorium's own format: `devices/{id}/telemetry`, JSON in each of the shapes that it may have."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from contracts import topics
from simulators.formats.plain import Plain, said
from simulators.formats.texts import iso, joined, objects
from simulators.formats.wire import Encoded, Rows, Stored, Will
from simulators.formats.words import without
from simulators.models.model import Metric
from simulators.plan.devices import Device

_ONLINE, _OFFLINE = b"online", b"offline"
_MS = 1_000_000


class Json(Plain):
    """One message a reading; `status` says online and offline, retained. A reading without a clock has no `ts`."""

    name = "json"
    resolution = 1

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store everything as it is."""
        return Stored(device.id, {metric: metric for metric in metrics}, self.resolution)

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        return Encoded([_topic(device.id) for device in rows.devices], self._payloads(rows))

    def opening(self, rows: Rows) -> Encoded:
        """Say `online`."""
        return _status(rows.devices, _ONLINE)

    def closing(self, devices: Sequence[Device]) -> Encoded:
        """Say `offline`."""
        return _status(devices, _OFFLINE)

    def will(self, device: Device) -> Will | None:
        """Say `offline`."""
        return Will(topics.status(device.id).encode(), _OFFLINE)

    def _payloads(self, rows: Rows) -> list[bytes]:
        found = objects(rows.columns, len(rows.devices))
        return [
            values if ts is None else b'{"ts":%d,"values":%b}' % (ts, values)
            for ts, values in zip(rows.ts, found, strict=True)
        ]


class IsoJson(Json):
    """`ts` is ISO 8601."""

    name = "json-iso"

    def _payloads(self, rows: Rows) -> list[bytes]:
        found = objects(rows.columns, len(rows.devices))
        return [
            values if ts is None else b'{"ts":"%bZ","values":%b}' % (iso(ts), values)
            for ts, values in zip(rows.ts, found, strict=True)
        ]


class FlatJson(Json):
    """`ts`, in ms, stands among the values."""

    name = "json-flat"
    resolution = _MS

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store everything as it is, but a metric that is called `ts`."""
        return super().stored(device, without(metrics, {"ts"}))

    def _payloads(self, rows: Rows) -> list[bytes]:
        found = objects(without(rows.columns, {"ts"}), len(rows.devices))
        return [
            values if ts is None else joined(b'"ts":%d' % (ts // _MS), values)
            for ts, values in zip(rows.ts, found, strict=True)
        ]


class ArrayJson(Json):
    """An array, of an element for each metric."""

    name = "json-array"

    def _payloads(self, rows: Rows) -> list[bytes]:
        count = len(rows.devices)
        singles = [objects({name: column}, count) for name, column in rows.columns.items()]
        elements = zip(*singles, strict=True) if singles else [()] * count
        return [
            b"[%b]" % b",".join(row if ts is None else [b'{"ts":%d,"values":%b}' % (ts, one) for one in row])
            for ts, row in zip(rows.ts, elements, strict=True)
        ]


@lru_cache(maxsize=65_536)
def _topic(device: str) -> bytes:
    return topics.telemetry(device).encode()


def _status(devices: Sequence[Device], what: bytes) -> Encoded:
    count = len(devices)
    return said([topics.status(device.id).encode() for device in devices], [what] * count, [*range(count)], retain=True)
