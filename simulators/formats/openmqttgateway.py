"""OpenMQTTGateway and Theengs Gateway: `home/{gateway}/BTtoMQTT/{address}`, a decoded advert, stored when it arrives.

Adverts are heard several times, and what says the same within seconds is taken for one: so each has a number of its
own, made of its time.
"""

from collections.abc import Mapping

from contracts.readings import Value
from contracts.units import canonical
from simulators.formats.announcing import Announcing
from simulators.formats.hardware import mac
from simulators.formats.texts import joined, objects
from simulators.formats.wire import Encoded, Rows, Stored
from simulators.models.model import Metric
from simulators.plan.devices import Device

_MS = 1_000_000
_NUMBER = "packet"
_WORDS = {
    ("temperature", "degC"): "tempc",
    ("humidity", "%"): "hum",
    ("pressure", "hPa"): "pres",
    ("voltage", "V"): "volt",
    ("battery", "%"): "batt",
    ("moisture", "%"): "moi",
    ("illuminance", "lx"): "lux",
}
_MEANT_OTHERWISE = (
    {"id", "mac", "mac_type", "adv_type", "model_id", "type", "device", "UTCtime", "unixtime", "uuid", "major", "minor"}
    | {"servicedata", "servicedatauuid", "manufacturerdata", "mfid", "acts", "cont", "track", "encr", "cidc", "rdy"}
    | {"prmac", "name", "model", "brand", "rssi", "snr", "noise", "distance", "gateway", "txpower", "tempf", _NUMBER}
)


class OpenMqttGateway(Announcing):
    """A device has an address; the gateway that hears it says online and offline on its `LWT`, retained."""

    name = "openmqttgateway"

    @staticmethod
    def presence(device: Device) -> str:
        """Give the topic."""
        return f"home/{_gateway(device)}/LWT"

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store each metric under the gateway's word for it; names that mean something else there are left out."""
        return Stored(mac(device.number), _named(metrics), resolution=0)

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        numbers: list[Value | None] = [None if ts is None else float(ts // _MS % 2**32) for ts in rows.ts]
        gateways: list[Value | None] = [_gateway(device) for device in rows.devices]
        columns = {name: rows.columns[metric] for metric, name in _named(rows.metrics).items()}
        found = objects({**columns, _NUMBER: numbers}, len(rows.devices))
        return Encoded(
            [f"home/{_gateway(d)}/BTtoMQTT/{mac(d.number).replace(':', '')}".encode() for d in rows.devices],
            [
                joined(b'"id":"%b","name":"%b"' % (mac(device.number).encode(), device.id.encode()), values)
                for device, values in zip(rows.devices, found, strict=True)
            ],
            said={_NUMBER: numbers, "gateway": gateways},
        )


def _gateway(device: Device) -> str:
    return f"OMG_{device.via}"


def _named(metrics: Mapping[str, Metric]) -> dict[str, str]:
    """Give the metrics' names."""
    return {
        name: _WORDS.get((name, canonical(metric.unit)), name)
        for name, metric in metrics.items()
        if name not in _MEANT_OTHERWISE
    }
