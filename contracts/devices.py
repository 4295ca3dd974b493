"""DeviceRecord: what the data path needs to know of a device, as devices_api publishes it in KV `devices`."""

import re
from typing import Literal

import msgspec

DEFAULT_PROFILE = "default"
"""Profile of a device that names none, and of one that is not registered."""


class Calibration(msgspec.Struct, frozen=True, omit_defaults=True):
    """What makes a sensor's number right, for readings with `ts` >= `since` (ns since 1970 UTC).

    `polynomial` are the coefficients of value^0, value^1 and so on, applied first where there are any; then the result
    is multiplied by `scale`, and `offset` is added. Numbers in and out are in the profile's unit.
    """

    since: int = 0
    scale: float = 1.0
    offset: float = 0.0
    polynomial: list[float] = []


class Metric(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a profile says of a metric.

    `unit` in the spelling of ingest's table, empty where any will do; `min` and `max`, both allowed, bound the value
    that is stored. Of `calibration`, by `since`, the last that has begun holds.
    """

    type: Literal["number", "boolean", "text"] = "number"
    unit: str = ""
    min: float | None = None
    max: float | None = None
    calibration: list[Calibration] = []


class Retention(msgspec.Struct, frozen=True, omit_defaults=True, rename={"m1": "1m", "h1": "1h", "d1": "1d"}):
    """For how many days each tier is kept: raw points, and windows of a minute, an hour and a day; 0 for ever."""

    raw: int = 30
    m1: int = 180
    h1: int = 1825
    d1: int = 0


class DeviceRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One registered device, as JSON in the bucket, so that an operator can read it there.

    `metrics` are its profile's, by name, with the device's own calibration where it has one; others are taken as they
    come. `zone` (IANA) is the time zone of a device that names none. `keep_raw`: store the device's own number beside
    one that was converted or calibrated. `message_rate` and `point_rate` are token buckets, `CAPACITY:SECONDS` each,
    all of which have to hold (`"20:1,600:60"`); empty where there is no limit. `computed`: the
    expression of each metric that processor computes from others, as contracts.expressions reads it.
    """

    schema_version: Literal[1]
    id: str
    enabled: bool
    profile: str
    tags: dict[str, str] = {}
    groups: list[str] = []
    metrics: dict[str, Metric] = {}
    zone: str = ""
    keep_raw: bool = False
    message_rate: str = ""
    point_rate: str = ""
    computed: dict[str, str] = {}
    retention: Retention = Retention()


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(DeviceRecord)


def encode_record(record: DeviceRecord) -> bytes:
    """Write a record for the bucket."""
    return _encoder.encode(record)


def decode_record(data: bytes) -> DeviceRecord:
    """Read a record from the bucket. Raises msgspec.DecodeError if it is none that this version knows."""
    try:
        return _decoder.decode(data)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error


_PLAIN = re.compile(r"[A-Za-z0-9_/-]")


def kv_key(device: str) -> str:
    """Key of `device` in the bucket: keys allow few characters, so the others become `=XX`, byte by byte."""
    return "".join(c if _PLAIN.match(c) else "".join(f"={b:02X}" for b in c.encode()) for c in device)
