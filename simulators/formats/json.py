"""Sensorium's own format: `devices/{id}/telemetry`, an object with `ts` (ns) and `values`."""

from collections.abc import Mapping, Sequence

import msgspec

from contracts import topics
from simulators.formats.plain import Plain, said
from simulators.formats.wire import Encoded, Rows, Stored, Will
from simulators.models.model import Metric
from simulators.plan.devices import Device

_ONLINE, _OFFLINE = b"online", b"offline"
_encode = msgspec.json.Encoder().encode


class Json(Plain):
    """One message a reading; `status` says online and offline, retained. A reading without a clock has no `ts`."""

    name = "json"

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store everything as it is."""
        return Stored(device.id, {metric: metric for metric in metrics})

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        names, columns = list(rows.columns), rows.columns.values()
        payloads = []
        for ts, *values in zip(rows.ts, *columns, strict=True):
            reading = {name: value for name, value in zip(names, values, strict=True) if value is not None}
            encoded = _encode(reading)
            payloads.append(encoded if ts is None else b'{"ts":%d,"values":%b}' % (ts, encoded))
        return Encoded([topics.telemetry(device.id).encode() for device in rows.devices], payloads)

    def opening(self, rows: Rows) -> Encoded:
        """Say `online`."""
        return _status(rows.devices, _ONLINE)

    def closing(self, devices: Sequence[Device]) -> Encoded:
        """Say `offline`."""
        return _status(devices, _OFFLINE)

    def will(self, device: Device) -> Will | None:
        """Say `offline`."""
        return Will(topics.status(device.id).encode(), _OFFLINE)


def _status(devices: Sequence[Device], what: bytes) -> Encoded:
    count = len(devices)
    return said([topics.status(device.id).encode() for device in devices], [what] * count, [*range(count)], retain=True)
