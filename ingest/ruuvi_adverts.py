"""Ruuvi's Bluetooth adverts: the sensor's broadcast, found among an advert's parts, and its fields. Pure.

Formats 3 and 5 are those of RuuviTag, 6 and E1 those of Ruuvi Air.
"""

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

_MANUFACTURER_DATA = 0xFF
_COMPANY = b"\x99\x04"
_LUMINOSITY_STEP = math.log(65536) / 254

UNITS = {
    "temperature": "degC",
    "humidity": "%",
    "pressure": "Pa",
    "acceleration_x": "mgn",
    "acceleration_y": "mgn",
    "acceleration_z": "mgn",
    "pm1": "ug/m3",
    "pm2_5": "ug/m3",
    "pm4": "ug/m3",
    "pm10": "ug/m3",
    "co2": "ppm",
    "luminosity": "lx",
    "voltage": "V",
    "tx_power": "dBm",
}


@dataclass
class Broadcast:
    """What a sensor broadcasts: what it measured, what it says of itself, and the measurement's number if it has one.

    A field that the sensor says is not available is None.
    """

    measured: dict[str, float | None]
    health: dict[str, float | None] = field(default_factory=dict)
    sequence: int | None = None


def broadcast(advert: bytes) -> bytes | None:
    """Find what a Ruuvi sensor sends in an advert, from the format's number on; None if it is none of theirs."""
    at = 0
    while at + 1 < len(advert) and advert[at]:
        part = advert[at + 1 : at + 1 + advert[at]]
        if part[0] == _MANUFACTURER_DATA and part[1:3] == _COMPANY:
            return part[3:]
        at += 1 + advert[at]
    return None


def read(data: bytes) -> Broadcast | None:
    """Read a broadcast; None if its format is not known. Raises ValueError if it is too short for its format."""
    known = _FORMATS.get(data[0]) if data else None
    if known is None:
        return None
    length, reader = known
    if len(data) < length:
        raise ValueError(f"format {data[0]:02X} has {length} bytes, not {len(data)}")
    return reader(data)


def _known(raw: int, none: int) -> int | None:
    return None if raw == none else raw


def _scaled(raw: int, none: int, divisor: float, offset: int = 0) -> float | None:
    return None if raw == none else (raw + offset) / divisor


def _climate(data: bytes) -> dict[str, float | None]:
    temperature, humidity, pressure = struct.unpack_from(">hHH", data, 1)
    return {
        "temperature": _scaled(temperature, -0x8000, 200),
        "humidity": _scaled(humidity, 0xFFFF, 400),
        "pressure": _scaled(pressure, 0xFFFF, 1, 50_000),
    }


def _acceleration(values: tuple[int, ...]) -> dict[str, float | None]:
    return {f"acceleration_{axis}": _scaled(raw, -0x8000, 1) for axis, raw in zip("xyz", values, strict=True)}


def _format_3(data: bytes) -> Broadcast:
    humidity, whole, hundredths, pressure, *acceleration, millivolts = struct.unpack_from(">BBBHhhhH", data, 1)
    temperature = ((whole & 0x7F) * 100 + hundredths) / 100  # the sign is a bit of its own
    measured = {"temperature": -temperature if whole & 0x80 else temperature, "humidity": humidity / 2}
    return Broadcast(
        measured | {"pressure": pressure + 50_000.0} | _acceleration(tuple(acceleration)),
        {"voltage": millivolts / 1000},
    )


def _format_5(data: bytes) -> Broadcast:
    *acceleration, power, movement, sequence = struct.unpack_from(">hhhHBH", data, 7)
    measured = _climate(data) | _acceleration(tuple(acceleration)) | {"movement": _scaled(movement, 0xFF, 1)}
    health = {
        "voltage": _scaled(power >> 5, 2047, 1000, 1600),
        "tx_power": _scaled(power & 0x1F, 31, 0.5, -20),
    }
    return Broadcast(measured, health, _known(sequence, 0xFFFF))


def _gases(co2: int, voc: int, nox: int, flags: int) -> dict[str, float | None]:
    """Both indices have nine bits, the lowest of which is among the flags."""
    return {
        "co2": _scaled(co2, 0xFFFF, 1),
        "voc_index": _scaled(voc << 1 | flags >> 6 & 1, 0x1FF, 1),
        "nox_index": _scaled(nox << 1 | flags >> 7, 0x1FF, 1),
    }


def _format_6(data: bytes) -> Broadcast:
    dust, co2, voc, nox, light, _, sequence, flags = struct.unpack_from(">HHBBBBBB", data, 7)
    known = _known(light, 0xFF)
    lux = None if known is None else round(math.expm1(known * _LUMINOSITY_STEP), 2)
    measured = _climate(data) | {"pm2_5": _scaled(dust, 0xFFFF, 10)} | _gases(co2, voc, nox, flags)
    return Broadcast(measured | {"luminosity": lux}, {}, sequence)


def _format_e1(data: bytes) -> Broadcast:
    *dust, co2, voc, nox = struct.unpack_from(">HHHHHBB", data, 7)
    light, sequence = int.from_bytes(data[19:22], "big"), int.from_bytes(data[25:28], "big")
    particles = {
        name: _scaled(raw, 0xFFFF, 10) for name, raw in zip(("pm1", "pm2_5", "pm4", "pm10"), dust, strict=True)
    }
    measured = _climate(data) | particles | _gases(co2, voc, nox, data[28])
    return Broadcast(measured | {"luminosity": _scaled(light, 0xFFFFFF, 100)}, {}, _known(sequence, 0xFFFFFF))


_FORMATS: dict[int, tuple[int, Callable[[bytes], Broadcast]]] = {
    3: (14, _format_3),
    5: (24, _format_5),
    6: (20, _format_6),
    0xE1: (40, _format_e1),
}
