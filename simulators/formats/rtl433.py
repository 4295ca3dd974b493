"""rtl_433: `rtl_433/{host}/events`, what a radio sensor sends, with the time at which it was heard, in µs and UTC.

Radio sensors say everything several times, and what says the same within seconds is taken for one: so each packet has a
number of its own, made of its time.
"""

from collections.abc import Mapping

from contracts.readings import Value
from contracts.units import canonical
from simulators.formats.plain import Plain
from simulators.formats.texts import iso, joined, objects
from simulators.formats.wire import Encoded, Rows, Stored
from simulators.models.model import Metric
from simulators.plan.devices import Device

_MODEL = "Fleet-Sensor"
_NUMBER = "sequence_num"
_US = 1_000
_ENDS = {
    "degC": "_C",
    "degF": "_F",
    "V": "_V",
    "mV": "_mV",
    "A": "_A",
    "W": "_W",
    "kWh": "_kWh",
    "hPa": "_hPa",
    "kPa": "_kPa",
    "deg": "_deg",
    "m/s": "_m_s",
    "km/h": "_km_h",
    "mm": "_mm",
    "km": "_km",
    "lx": "_lux",
}
_MEANT_OTHERWISE = {"model", "subtype", "channel", "id", "time", "type", "mic", "mod", "rssi", "snr", "noise", _NUMBER}


class Rtl433(Plain):
    """Names end in their units, `temperature_C`. A device is a model's sensor with its number."""

    name = "rtl433"

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store each metric under its name with its unit; names that mean something else there are left out."""
        return Stored(f"{_MODEL}:{device.number}", _named(metrics), _US)

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        numbers: list[Value | None] = [None if ts is None else float(ts // _US % 2**32) for ts in rows.ts]
        columns = {name: rows.columns[metric] for metric, name in _named(rows.metrics).items()}
        found = objects({**columns, _NUMBER: numbers}, len(rows.devices))
        return Encoded(
            [f"rtl_433/host-{device.via}/events".encode() for device in rows.devices],
            [
                joined(b'%b"model":"%b","id":%d,"mic":"CRC"' % (_time(ts), _MODEL.encode(), device.number), values)
                for device, ts, values in zip(rows.devices, rows.ts, found, strict=True)
            ],
            said={_NUMBER: numbers},
        )


def _named(metrics: Mapping[str, Metric]) -> dict[str, str]:
    """Give the metrics' names."""
    return {
        name: name + _ENDS.get(canonical(metric.unit), "")
        for name, metric in metrics.items()
        if name not in _MEANT_OTHERWISE and not name.startswith("freq")
    }


def _time(ts: int | None) -> bytes:
    return b"" if ts is None else b'"time":"%bZ",' % iso(ts, 6)
