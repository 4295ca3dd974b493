"""DeviceRecord: what the data path needs to know of a device, as devices_api publishes it in KV `devices`."""

import re
from typing import Literal

import msgspec


class DeviceRecord(msgspec.Struct, frozen=True):
    """One registered device, as JSON in the bucket, so that an operator can read it there."""

    schema_version: Literal[1]
    id: str
    enabled: bool
    profile: str
    tags: dict[str, str] = {}
    groups: list[str] = []


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(DeviceRecord)


def encode_record(record: DeviceRecord) -> bytes:
    """Write a record for the bucket."""
    return _encoder.encode(record)


def decode_record(data: bytes) -> DeviceRecord:
    """Read a record from the bucket. Raises msgspec.DecodeError if it is none that this version knows."""
    return _decoder.decode(data)


_PLAIN = re.compile(r"[A-Za-z0-9_/-]")


def kv_key(device: str) -> str:
    """Key of `device` in the bucket: keys allow few characters, so the others become `=XX`, byte by byte."""
    return "".join(c if _PLAIN.match(c) else "".join(f"={b:02X}" for b in c.encode()) for c in device)
