"""The MQTT topics that a device uses by default.

`devices/{device}/telemetry`            an object, `{"ts", "values"}`, or an array of either
`devices/{device}/telemetry/{metric}`   one plain value
`devices/{device}/status`               `online` or `offline`; also the device's will
`devices/{device}/reported`             its twin's reported state
`devices/{device}/commands/{command}/response`  its answer to a command
`provision/{nonce}/request`             a request for a device id and credentials

and those on which it is told something:

`devices/{device}/errors`               what was wrong with its messages, from ingest
`devices/{device}/desired`              its twin's desired state, from devices_api, retained
`devices/{device}/delta`                what its twin's reported state lacks, from devices_api, when it comes online
`devices/{device}/commands/{command}`   a command, from devices_api
`provision/{nonce}/response`            the answer to a request, from devices_api
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


def reported(device: str) -> str:
    """Topic on which `device` tells the reported state of its twin."""
    return f"devices/{device}/reported"


def desired(device: str) -> str:
    """Topic on which `device` is told the desired state of its twin."""
    return f"devices/{device}/desired"


def delta(device: str) -> str:
    """Topic on which `device` is told what its reported state lacks of the desired one."""
    return f"devices/{device}/delta"


def command(device: str, command: str) -> str:
    """Topic on which `device` is given the command with the id `command`."""
    return f"devices/{device}/commands/{command}"


def command_response(device: str, command: str) -> str:
    """Topic on which `device` answers the command with the id `command`."""
    return f"devices/{device}/commands/{command}/response"


def provision_request(nonce: str) -> str:
    """Topic on which whoever chose `nonce` asks to become a device."""
    return f"provision/{nonce}/request"


def provision_response(nonce: str) -> str:
    """Topic on which whoever asked with `nonce` is answered."""
    return f"provision/{nonce}/response"


def named_in(topic: str) -> str:
    """Give the command that a topic of `command_response` answers, or the nonce of one of `provision_request`.

    It is the level before the last; empty where there is none.
    """
    return topic.rpartition("/")[0].rpartition("/")[2]


def is_told(levels: Sequence[str]) -> bool:
    """Whether a topic with these levels is one on which Sensorium itself tells devices something."""
    match levels:
        case (
            ["devices", _, "errors" | "desired" | "delta"]
            | ["devices", _, "commands", _]
            | ["provision", _, "response"]
        ):
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
