"""Uplink: what devices tell that is no reading, on `uplink.N`, as they sent it."""

from typing import Literal

import msgspec

from contracts.wire import Wire

Kind = Literal["reported", "response", "provision"]


class Uplink(msgspec.Struct, array_like=True, frozen=True):
    """One message of a device, or of one that is to become a device.

    `reported`: its twin's reported state, from `devices/{id}/reported`. `response`: its answer to a command, from
    `devices/{id}/commands/{command}/response`. `provision`: a request for a device id and credentials, from
    `provision/{nonce}/request`; `device` is then empty. The command and the nonce are in `topic`:
    `contracts.topics.named_in`. `received` in ns since 1970 UTC. `payload`: the bytes as they came, unread.
    """

    schema_version: Literal[1]
    device: str
    kind: Kind
    received: int
    topic: str
    payload: bytes


UPLINK_MESSAGE = Wire(Uplink)
