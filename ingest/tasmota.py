"""What Tasmota calls things: its topics, the words of relays, the units of sensors. Pure."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ingest.leaf_units import LeafUnits
from ingest.plain import truth_of

OUTPUT = re.compile(r"POWER[0-9]*|(?:Dimmer|White|Shutter)[0-9]*|Color|HSBColor|CT|Channel|FanSpeed")
"""Names of what a device does, beside what it says of itself."""

SWITCH = re.compile(r"(?:POWER|Switch)[0-9]*")
"""Names of what is on or off."""

_UNITS = {
    "Humidity": "%",
    "Illuminance": "lx",
    "BatteryPercentage": "%",
    "BatteryVoltage": "V",
    "ENERGY.Total": "kWh",
    "ENERGY.TotalTariff": "kWh",
    "ENERGY.Yesterday": "kWh",
    "ENERGY.Today": "kWh",
    "ENERGY.ExportActive": "kWh",
    "ENERGY.ImportActive": "kWh",
    "ENERGY.Power": "W",
    "ENERGY.ApparentPower": "VA",
    "ENERGY.ReactivePower": "var",
    "ENERGY.Voltage": "V",
    "ENERGY.Current": "A",
    "ENERGY.Frequency": "Hz",
    "ENERGY.Period": "Wh",
    "Wifi.RSSI": "%",
    "Wifi.Signal": "dBm",
    "UptimeSec": "s",
    "Heap": "kB",
    "LoadAvg": "%",
    "Vcc": "V",
}
_NAMED_UNITS = {
    "TempUnit": ("Temperature", "DewPoint", "HeatIndex"),
    "PressureUnit": ("Pressure", "SeaPressure"),
    "SpeedUnit": ("Speed", "SpeedAvg", "SpeedMax", "Gust"),
}
NO_METRICS = frozenset({"Time", "Id", "TotalStartTime", *_NAMED_UNITS})
"""Names of a message or a sensor that are no metrics."""


@lru_cache(maxsize=64)
def pattern(full_topic: str) -> re.Pattern[str]:
    """Turn a FullTopic into what topics have to match, with the groups `prefix`, `topic` and `suffix`.

    A device's topic may have several levels, the suffix has one. Raises ValueError if the FullTopic names no prefix or
    no topic.
    """
    text, known = "", {"%prefix%": "(?P<prefix>[^/]+)", "%topic%": "(?P<topic>.+)"}
    for part in re.split("(%[a-z]+%)", full_topic.strip("/")):
        text += known.pop(part, "[^/]+") if part.startswith("%") and part.endswith("%") else re.escape(part)
    if known:
        raise ValueError(f"the pattern lacks {' and '.join(known)}")
    return re.compile(f"{text}/(?P<suffix>[^/]+)")


def units_of(body: Mapping[str, Any]) -> LeafUnits:
    """Give the units of a message's metrics, some of which it names for all its sensors."""
    told = {
        field: unit
        for name, fields in _NAMED_UNITS.items()
        if isinstance(unit := body.get(name), str)
        for field in fields
    }
    return LeafUnits(_UNITS | told)


def metrics_of(sensor: object) -> object:
    """Give what a sensor measures, without what else it says."""
    return {n: v for n, v in sensor.items() if n not in NO_METRICS} if isinstance(sensor, dict) else sensor


def booleans(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Read the words of relays and switches; a user's own words stay text."""
    out = dict(fields)
    for name, value in fields.items():
        if isinstance(value, str) and SWITCH.fullmatch(name) and (truth := truth_of(value)) is not None:
            out[name] = truth
    return out
