"""What Mosquitto's dynamic-security plugin has to hold, as commands of its control topic. Pure.

A device has a role, and each of its credentials a client with that role. What has a role of ours is ours; all else on
the plugin is left alone.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from devices_api.credentials.broker_rules import Who, named, own, told

PREFIX = "sensorium/"
SERVICE_ROLE = f"{PREFIX}service"
MISSING_S = 60.0
"""For so long a client that the registry does not know is left alone: it may be just being made."""

Command = dict[str, Any]


@dataclass(frozen=True)
class Held:
    """A client of ours on the plugin."""

    role: str
    on: bool


def role_of(who: Who) -> str:
    """Name the role of a device or a service."""
    return SERVICE_ROLE if who.kind == "service" else f"{PREFIX}device/{who.id}"


def create(who: Who, username: str, secret: str, *, on: bool) -> list[Command]:
    """Make a client and its role. The role may be there already."""
    client: Command = {"username": username, "password": secret, "roles": [{"rolename": role_of(who)}]}
    if who.kind == "device":
        client["clientid"] = who.id  # the plugin knows one client id of a client, or lets it have any
    made = [
        {"command": "createRole", "rolename": role_of(who), "acls": _acls(who)},
        delete(username),  # a service's name may have been another's, whose client is not gone yet
        client | {"command": "createClient"},
    ]
    return made if on else [*made, {"command": "disableClient", "username": username}]


def _acls(who: Who) -> list[Command]:
    if who.kind == "service":
        return [_acl(kind, "#") for kind in ("publishClientSend", "subscribePattern")]
    return [
        *(_acl("publishClientSend", filter_, allow=False, priority=1) for filter_ in told(who.id)),
        _acl("publishClientSend", own(who.id)),
        _acl("subscribePattern", own(who.id)),
    ]


def _acl(kind: str, topic: str, *, allow: bool = True, priority: int = 0) -> Command:
    return {"acltype": kind, "topic": topic, "allow": allow, "priority": priority}


def delete(username: str) -> Command:
    """Remove a client; its connection ends."""
    return {"command": "deleteClient", "username": username}


def held(listed: Mapping[str, Any]) -> tuple[str, Held] | None:
    """Read a client as the plugin lists it; None: it is not ours."""
    roles = [role["rolename"] for role in listed.get("roles", ())]
    ours = [role for role in roles if role.startswith(PREFIX)]
    return (listed["username"], Held(ours[0], not listed.get("disabled", False))) if ours else None


@dataclass(frozen=True)
class Differences:
    """What the plugin has to be told; what it lacks, and cannot be told since only it knew; what nobody knows."""

    commands: list[Command]
    missing: list[str]
    strangers: list[str]


def differences(wanted: Mapping[str, bool], over: Collection[str], have: Mapping[str, Held]) -> Differences:
    """Compare the clients that should be there, each with whether it is to be on, with those that are.

    Those in `over` are removed. Others that are not wanted are strangers.
    """
    commands: list[Command] = []
    for username, on in wanted.items():
        if username in have and have[username].on != on:
            commands.append({"command": "enableClient" if on else "disableClient", "username": username})
    commands += [delete(username) for username in have if username in over]
    strangers = [username for username in have if username not in wanted and username not in over]
    return Differences(commands, [username for username in wanted if username not in have], strangers)


def roles_left(roles: Collection[str], have: Mapping[str, Held], known: Collection[str]) -> list[str]:
    """Name the roles of devices that have no client, and are not among the usernames that are `known`.

    A role is kept for as long as its device may be given a new client: another process may be at it.
    """
    in_use = {client.role for client in have.values()}
    in_use |= {role_of(who) for username in known if (who := named(username)) is not None}
    return [role for role in roles if role.startswith(f"{PREFIX}device/") and role not in in_use]


def apply(commands: Collection[Command], have: dict[str, Held]) -> None:
    """Note in `have` what commands that worked have changed."""
    for command in commands:
        username = command.get("username", "")
        match command["command"]:
            case "createClient":
                who = named(username)
                if who is not None:
                    have[username] = Held(role_of(who), on=True)
            case "deleteClient":
                have.pop(username, None)
            case "enableClient" | "disableClient" if username in have:
                have[username] = Held(have[username].role, command["command"] == "enableClient")
