"""ThingsBoard's two APIs: a gateway's, and a device's own. Times are in ms.

ThingsBoard believes any time, so a device whose clock is not set does not tell it.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from simulators.formats.plain import Plain, said
from simulators.formats.texts import objects
from simulators.formats.wire import Encoded, Rows, Stored
from simulators.models.model import Metric
from simulators.plan.devices import Device

_MS = 1_000_000
_UNSET = 978_307_200_000_000_000
"""2001-01-01: what a clock says that has not been set is before it."""


class ThingsBoard(Plain):
    """`{id}/v1/devices/me/telemetry`: the first level is the broker's, without which nobody would know the device."""

    name = "thingsboard"

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store everything as it is."""
        return Stored(device.id, {metric: metric for metric in metrics}, _MS)

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        return Encoded([_topic(device.id) for device in rows.devices], _records(rows))


class ThingsBoardGateway(ThingsBoard):
    """`v1/gateway/telemetry`, where the body names the device; `connect` and `disconnect` say who is there."""

    name = "thingsboard-gateway"

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        payloads = [
            b'{"%b":[%b]}' % (device.id.encode(), record)
            for device, record in zip(rows.devices, _records(rows), strict=True)
        ]
        return Encoded([b"v1/gateway/telemetry"] * len(payloads), payloads)

    def opening(self, rows: Rows) -> Encoded:
        """Say `connect`."""
        return _say(rows.devices, b"v1/gateway/connect")

    def closing(self, devices: Sequence[Device]) -> Encoded:
        """Say `disconnect`."""
        return _say(devices, b"v1/gateway/disconnect")


def _records(rows: Rows) -> list[bytes]:
    found = objects(rows.columns, len(rows.devices))
    return [
        values if ts is None or ts < _UNSET else b'{"ts":%d,"values":%b}' % (ts // _MS, values)
        for ts, values in zip(rows.ts, found, strict=True)
    ]


def _say(devices: Sequence[Device], topic: bytes) -> Encoded:
    count = len(devices)
    return said([topic] * count, [b'{"device":"%b"}' % device.id.encode() for device in devices], [*range(count)])


@lru_cache(maxsize=65_536)
def _topic(device: str) -> bytes:
    return f"{device}/v1/devices/me/telemetry".encode()
