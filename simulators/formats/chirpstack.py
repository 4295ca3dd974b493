"""ChirpStack v4 in JSON: `up` events of LoRaWAN devices, decoded by somebody's codec."""

from collections.abc import Mapping
from functools import lru_cache

from simulators.formats.lorawan import heard, radio_of
from simulators.formats.plain import Plain
from simulators.formats.texts import iso, objects
from simulators.formats.wire import Encoded, Rows, Stored
from simulators.models.model import Metric
from simulators.plan.devices import Device

_APPLICATION = "c0ffee00-5e50-4a10-8f1e-5e0000000001"
_PORT, _RATE, _GATEWAY = 2, 5, "0016c001f1b80001"


class ChirpStack(Plain):
    """`application/{uuid}/device/{eui}/event/up`, without ids of events: what is sent twice is to arrive twice."""

    name = "chirpstack"

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store what the codec has decoded, under the EUI."""
        return Stored(_eui(device), {metric: metric for metric in metrics})

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        found = objects(rows.columns, len(rows.devices))
        return Encoded(
            [f"application/{_APPLICATION}/device/{_eui(device)}/event/up".encode() for device in rows.devices],
            [
                b'{%b%b"object":%b}' % (_time(ts), _about(device), values)
                for device, ts, values in zip(rows.devices, rows.ts, found, strict=True)
            ],
            said=radio_of(rows.devices, fCnt=0, fPort=_PORT, dr=_RATE, gateway=_GATEWAY),
        )


def _time(ts: int | None) -> bytes:
    return b"" if ts is None else b'"time":"%b+00:00",' % iso(ts)


@lru_cache(maxsize=65_536)
def _about(device: Device) -> bytes:
    rssi, snr = heard(device)
    return (
        f'"deviceInfo":{{"applicationName":"fleet","deviceName":"{device.id}","devEui":"{_eui(device)}"}},"dr":{_RATE},'
        f'"fPort":{_PORT},"rxInfo":[{{"gatewayId":"{_GATEWAY}","rssi":{rssi},"snr":{snr}}}],'
    ).encode()


def _eui(device: Device) -> str:
    return f"70b3d57e{device.number:08x}"
