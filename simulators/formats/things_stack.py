"""The Things Stack v3: uplinks of LoRaWAN devices, decoded by somebody's codec and with the network server's time."""

from collections.abc import Mapping
from functools import lru_cache

from simulators.formats.lorawan import heard, radio_of
from simulators.formats.plain import Plain
from simulators.formats.texts import iso, objects
from simulators.formats.wire import Encoded, Rows, Stored
from simulators.models.model import Metric
from simulators.plan.devices import Device

_APPLICATION = "fleet"
_PORT, _GATEWAY = 2, "roof"


class ThingsStack(Plain):
    """`v3/{application}@{tenant}/devices/{id}/up`, with the radio figures of one gateway."""

    name = "things-stack"

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store what the codec has decoded."""
        return Stored(f"{_APPLICATION}:{device.id}", {metric: metric for metric in metrics})

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        found = objects(rows.columns, len(rows.devices))
        return Encoded(
            [_topic(device.id) for device in rows.devices],
            [
                _head(device) + b'%b"decoded_payload":%b}}' % (_received(ts), values)
                for device, ts, values in zip(rows.devices, rows.ts, found, strict=True)
            ],
            said=radio_of(rows.devices, f_cnt=0, f_port=_PORT, gateway=_GATEWAY),
        )


def _received(ts: int | None) -> bytes:
    return b"" if ts is None else b'"received_at":"%bZ",' % iso(ts)


@lru_cache(maxsize=65_536)
def _topic(device: str) -> bytes:
    return f"v3/{_APPLICATION}@sensorium/devices/{device}/up".encode()


@lru_cache(maxsize=65_536)
def _head(device: Device) -> bytes:
    rssi, snr = heard(device)
    return (
        f'{{"end_device_ids":{{"device_id":"{device.id}","application_ids":{{"application_id":"{_APPLICATION}"}},'
        f'"dev_eui":"70B3D57E{device.number:08X}"}},"uplink_message":{{"f_port":{_PORT},"rx_metadata":[{{"gateway_ids":'
        f'{{"gateway_id":"{_GATEWAY}"}},"rssi":{rssi},"snr":{snr}}}],'
    ).encode()
