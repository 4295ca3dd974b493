"""The MQTT topics that a device uses by default.

`devices/{device}/telemetry`            an object, `{"ts", "values"}`, or an array of either
`devices/{device}/telemetry/{metric}`   one plain value
`devices/{device}/status`               `online` or `offline`; also the device's will
`devices/{device}/errors`               what was wrong with its messages, from ingest
"""

from collections.abc import Sequence

MAX_DEVICE_ID = 256
"""Longest device id, in UTF-8 bytes."""


def telemetry(device: str) -> str:
    """Topic on which `device` publishes readings."""
    return f"devices/{device}/telemetry"


def status(device: str) -> str:
    """Topic on which `device` says that it is online or offline."""
    return f"devices/{device}/status"


def errors(device: str) -> str:
    """Topic on which `device` is told what was wrong."""
    return f"devices/{device}/errors"


def is_errors(levels: Sequence[str]) -> bool:
    """Whether a topic with these levels is one of those of `errors`."""
    match levels:
        case ["devices", _, "errors"]:
            return True
    return False


def device_id_problem(device: str) -> str | None:
    """Why `device` cannot be a device id, or None: it has to fit one level of an MQTT topic."""
    if not device:
        return "is empty"
    if len(device.encode("utf-8", "surrogatepass")) > MAX_DEVICE_ID:
        return f"is longer than {MAX_DEVICE_ID} bytes"
    if any(character in device for character in "/+#"):
        return "contains one of / + #"
    if not device.isprintable():
        return "contains a control character"
    return None
