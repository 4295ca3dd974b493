"""Tasmota: `tele/{id}/SENSOR`, an object for its one sensor, and the local time, to the second.

So a device can tell apart no more than one reading a second.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from simulators.formats.plain import Plain, said
from simulators.formats.texts import iso, objects
from simulators.formats.wire import Encoded, Rows, Stored, Will
from simulators.formats.words import without
from simulators.models.model import Metric
from simulators.plan.devices import Device
from simulators.plan.load import SECOND

_SENSOR = "Sensor"
_ONLINE, _OFFLINE = b"Online", b"Offline"

_MEANT_OTHERWISE = {"id", "time", "total_start_time", "temp_unit", "pressure_unit", "speed_unit"}


class Tasmota(Plain):
    """Metrics are written as Tasmota writes them, `SupplyTemperature`. `LWT` says Online and Offline, retained."""

    name = "tasmota"

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store what the sensor says."""
        return Stored(
            device.id, {metric: f"{_SENSOR}.{_camel(metric)}" for metric in without(metrics, _MEANT_OTHERWISE)}, SECOND
        )

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        columns = {_camel(metric): column for metric, column in without(rows.columns, _MEANT_OTHERWISE).items()}
        units = b',"TempUnit":"C"' if any(metric.unit == "degC" for metric in rows.metrics.values()) else b""
        return Encoded(
            [_topic(device.id, "SENSOR") for device in rows.devices],
            [
                b'{%b"%b":%b%b}' % (_time(ts), _SENSOR.encode(), values, units)
                for ts, values in zip(rows.ts, objects(columns, len(rows.devices)), strict=True)
            ],
        )

    def opening(self, rows: Rows) -> Encoded:
        """Say `Online`."""
        return _lwt(rows.devices, _ONLINE)

    def closing(self, devices: Sequence[Device]) -> Encoded:
        """Say `Offline`."""
        return _lwt(devices, _OFFLINE)

    def will(self, device: Device) -> Will | None:
        """Say `Offline`."""
        return Will(_topic(device.id, "LWT"), _OFFLINE)


def _time(ts: int | None) -> bytes:
    return b"" if ts is None else b'"Time":"%b",' % iso(ts, 0)


def _lwt(devices: Sequence[Device], what: bytes) -> Encoded:
    count = len(devices)
    return said([_topic(device.id, "LWT") for device in devices], [what] * count, [*range(count)], retain=True)


@lru_cache(maxsize=65_536)
def _topic(device: str, suffix: str) -> bytes:
    return f"tele/{device}/{suffix}".encode()


@lru_cache(maxsize=4096)
def _camel(metric: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in metric.split("_"))
