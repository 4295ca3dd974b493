"""Sensorium's own format: `devices/{id}/telemetry`, an object with `ts` (ns) and `values`."""

from collections.abc import Mapping, Sequence

import msgspec

from contracts import topics
from simulators.formats.wire import Encoded, Rows, Stored, Will
from simulators.models.model import Metric
from simulators.plan.devices import Device

_ONLINE, _OFFLINE = b"online", b"offline"
_encode = msgspec.json.Encoder().encode


class Json:
    """One message a reading; `status` says online and offline, retained. A reading without a clock has no `ts`."""

    name = "json"
    session = False

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

    def subscriptions(self, device: Device) -> list[str]:
        """Listen to nothing."""
        del device
        return []

    def asks(self, device: Device, topic: str, payload: bytes) -> bool:
        """Ask for nothing."""
        del device, topic, payload
        return False

    def stamp(self, device: Device, payload: bytes) -> bytes:
        """Leave it as it is."""
        del device
        return payload


def _status(devices: Sequence[Device], what: bytes) -> Encoded:
    count = len(devices)
    return Encoded(
        [topics.status(device.id).encode() for device in devices],
        [what] * count,
        rows=list(range(count)),
        metrics=[()] * count,
        retained=set(range(count)),
    )
