"""Ruuvi Gateway: `ruuvi/{gateway}/{sensor}`, the raw advert of a Ruuvi Air (format E1) with the time, to the second.

The advert has its own steps, such as 0.005 degC: what is stored is what is left of a value in them. Its number, by
which repetitions are known, is made of its time.
"""

import struct
from collections.abc import Mapping, Sequence

from contracts.readings import Value
from simulators.formats.announcing import Announcing
from simulators.formats.hardware import mac
from simulators.formats.wire import Encoded, Rows, Stored
from simulators.formats.words import Words
from simulators.models.model import Metric
from simulators.plan.devices import Device
from simulators.plan.load import SECOND

_MS = 1_000_000
_NO_NUMBER = 0xFFFFFF
_RSSI = -71
_WORDS = Words(
    "Ruuvi Air",
    {
        "temperature": ("temperature", "degC"),
        "humidity": ("humidity", "%"),
        "pressure": ("pressure", "Pa"),
        "pm2_5": ("pm2_5", "ug/m3"),
        "co2": ("co2", "ppm"),
        "illuminance": ("luminosity", "lx"),
    },
)
_STEPS = {"temperature": 200, "humidity": 400, "pressure": 1, "pm2_5": 10, "co2": 1, "luminosity": 100}
"""How many steps make one of the unit."""

_OFFSETS = {"pressure": 50_000}
_MOST = {"temperature": 0x7FFF, "luminosity": 0xFFFFFE}
_LEAST = {"temperature": -0x7FFF}
_NONE = {"temperature": -0x8000, "luminosity": 0xFFFFFF}
_LAYOUT = struct.Struct(">BhHHHHHHHBB3s3x3sB5x6s")


class Ruuvi(Announcing):
    """The gateway says on its `gw_status` that it is online and offline, retained; a sensor has an address."""

    name = "ruuvi"
    here, gone = b'{"state":"online"}', b'{"state":"offline"}'

    @staticmethod
    def presence(device: Device) -> str:
        """Give the topic."""
        return f"ruuvi/{_gateway(device)}/gw_status"

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store what the advert has a field for."""
        return Stored(_sensor(device), _WORDS.stored(metrics), SECOND)

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        words = {word: rows.columns[metric] for metric, word in _WORDS.known(rows.metrics).items()}
        steps = {word: [_steps(word, value) for value in column] for word, column in words.items()}
        numbers = [_NO_NUMBER if ts is None else ts // _MS % _NO_NUMBER for ts in rows.ts]
        said: dict[str, Sequence[Value | None]] = {
            word: [None if raw is None else (raw + _OFFSETS.get(word, 0)) / _STEPS[word] for raw in column]
            for word, column in steps.items()
        }
        said["sequence"] = [None if number == _NO_NUMBER else float(number) for number in numbers]
        said["rssi"] = [float(_RSSI)] * len(numbers)
        said["gateway"] = [_gateway(device) for device in rows.devices]
        return Encoded(
            [f"ruuvi/{_gateway(device)}/{_sensor(device)}".encode() for device in rows.devices],
            [
                b'{"gw_mac":"%b","rssi":%d,"aoa":[],%b"data":"%b","coords":""}'
                % (_gateway(device).encode(), _RSSI, _time(ts), _advert(device, number, row, steps).encode())
                for row, (device, ts, number) in enumerate(zip(rows.devices, rows.ts, numbers, strict=True))
            ],
            said=said,
        )


def _steps(word: str, value: Value | None) -> int | None:
    """Give a value in the advert's steps; None if it has none for it."""
    if type(value) is not float or value - value != 0:
        return None
    raw = round(value * _STEPS[word]) - _OFFSETS.get(word, 0)
    return raw if _LEAST.get(word, 0) <= raw <= _MOST.get(word, 0xFFFE) else None


def _advert(device: Device, number: int, row: int, steps: Mapping[str, Sequence[int | None]]) -> str:
    def field(word: str) -> int:
        raw = steps[word][row] if word in steps else None
        return _NONE.get(word, 0xFFFF) if raw is None else raw

    data = _LAYOUT.pack(
        0xE1,
        field("temperature"),
        field("humidity"),
        field("pressure"),
        0xFFFF,
        field("pm2_5"),
        0xFFFF,
        0xFFFF,
        field("co2"),
        0xFF,
        0xFF,
        field("luminosity").to_bytes(3, "big"),
        number.to_bytes(3, "big"),
        0xC0,  # the lowest bits of two indices that the sensor has not
        bytes.fromhex(_sensor(device).replace(":", "")),
    )
    part = b"\xff\x99\x04" + data
    return (b"\x02\x01\x06" + bytes([len(part)]) + part).hex().upper()


def _time(ts: int | None) -> bytes:
    return b"" if ts is None else b'"gwts":%d,"ts":%d,' % (ts // SECOND, ts // SECOND)


def _sensor(device: Device) -> str:
    return mac(device.number)


def _gateway(device: Device) -> str:
    return mac(device.via, 0xD107)
