"""What LoRaWAN network servers have in common: a frame that several gateways heard. Pure."""

from typing import Any

RADIO_UNITS = {"radio.rssi": "dBm", "radio.snr": "dB"}
POSITION_UNITS = {"latitude": "deg", "longitude": "deg", "altitude": "m", "accuracy": "m"}


def best(heard: object) -> dict[str, Any]:
    """Of a list of receptions, give the strongest; an empty one where nobody heard.

    A missing strength is 0, as servers leave out zeros; but one that is told goes before it, since a gateway of
    somebody else's network may not tell it.
    """
    receptions = [one for one in heard if isinstance(one, dict)] if isinstance(heard, list) else []
    return max(receptions, key=_strength, default={})


def _strength(reception: dict[str, Any]) -> tuple[bool, float, float]:
    return "rssi" in reception, _number(reception.get("rssi")), _number(reception.get("snr"))


def _number(value: object) -> float:
    return value if isinstance(value, int | float) else 0


def position(location: dict[str, Any]) -> dict[str, object]:
    """Give what is a figure of a position that the network worked out."""
    return {name: location[name] for name in POSITION_UNITS if name in location}
