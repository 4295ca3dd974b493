"""Who an MQTT user name stands for, which client id they may have, and on which topics they may speak. Pure.

A device's user name is its id, or its id, a slash and a credential's id; no device id has a slash. `service/NAME` is a
service's account, and `provision` whoever wants to become a device.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from contracts.topics import device_id_problem, is_told

PROVISION = "provision"
SERVICE = "service"
RESERVED = frozenset({PROVISION, SERVICE})
"""Device ids that have another meaning as user names: such a device cannot have credentials."""

Action = Literal["publish", "subscribe"]


@dataclass(frozen=True)
class Who:
    """Somebody as their user name says: a device, and which credential where that is named; or a service."""

    kind: Literal["device", "service", "provision"]
    id: str = ""
    credential: str = ""


def named(username: str) -> Who | None:
    """Tell who `username` stands for; None: nobody can have it."""
    first, slash, rest = username.partition("/")
    if device_id_problem(first) or (slash and (not rest or "/" in rest)):
        return None
    if first == SERVICE:
        return Who("service", rest) if rest else None
    if first == PROVISION:
        return None if slash else Who("provision")
    return Who("device", first, rest)


def device_username(device: str, credential: str) -> str:
    """Give the user name that means one credential of a device."""
    return f"{device}/{credential}"


def service_username(name: str) -> str:
    """Give the user name of a service's account."""
    return f"{SERVICE}/{name}"


def may_connect(who: Who, client_id: str) -> bool:
    """Whether they may have this client id: with another's, they would put that one off the broker.

    A device has its id, or its id, a slash and anything; who wants to become a device `provision/` and one level.
    """
    match who.kind:
        case "service":
            return not client_id.startswith(f"{PROVISION}/")
        case "provision":
            nonce = client_id.removeprefix(f"{PROVISION}/")
            return nonce != client_id and device_id_problem(nonce) is None
        case "device":
            return client_id == who.id or client_id.startswith(f"{who.id}/")


def may(who: Who, client_id: str, action: Action, topic: str) -> bool:
    """Whether they may publish to a topic, or subscribe to a filter."""
    if who.kind == "service":
        return True
    levels = topic.split("/")
    if who.kind == "provision":
        last = "request" if action == "publish" else "response"
        return may_connect(who, client_id) and topic == f"{client_id}/{last}"
    if len(levels) < 3 or levels[:2] != ["devices", who.id]:  # noqa: PLR2004 - devices, the id, and at least one more
        return False
    return action == "subscribe" or not (is_told(levels) or has_wildcard(levels))


def has_wildcard(levels: Sequence[str]) -> bool:
    """Whether a level has a character that a filter would have."""
    return any("+" in level or "#" in level for level in levels)


def told(device: str) -> list[str]:
    """List the filters of what only Sensorium publishes to a device."""
    return [f"devices/{device}/{rest}" for rest in ("desired", "delta", "errors", "commands/+")]


def own(device: str) -> str:
    """Give the filter of all topics of a device."""
    return f"devices/{device}/#"
