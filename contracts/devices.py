"""What the data path needs to know of devices and their profiles, as devices_api publishes it in KV `devices`."""

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


class ProfileRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One profile, as JSON in the bucket: what is asked of the devices that name it.

    `metrics` by name; others are taken as they come. `zone` (IANA) is the time zone of devices that name none.
    `keep_raw`: store the device's own number beside one that was converted or calibrated. `message_rate` and
    `point_rate` are token buckets, `CAPACITY:SECONDS` each, all of which have to hold (`"20:1,600:60"`); empty where
    there is no limit. `computed`: the expression of each metric that processor computes from others, as
    contracts.expressions reads it. `interval`: seconds between two readings of a device, 0 where nobody knows.
    """

    schema_version: Literal[1]
    id: str
    metrics: dict[str, Metric] = {}
    zone: str = ""
    keep_raw: bool = False
    message_rate: str = ""
    point_rate: str = ""
    computed: dict[str, str] = {}
    retention: Retention = Retention()
    interval: float = 0.0


class DeviceRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One registered device, as JSON in the bucket, so that an operator can read it there.

    The bucket has what is the device's own: `groups` are those that it is in and all above them, `calibration`, by
    metric, goes before its profile's. What else a profile says, see ProfileRecord, is there once, in the profile's own
    record; `joined` puts the two together, and a field that the device's record has goes before the profile's.
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
    interval: float = 0.0
    calibration: dict[str, list[Calibration]] = {}


def joined(own: DeviceRecord, profile: ProfileRecord | None) -> DeviceRecord:
    """Give all that is asked of a device: its own record and its profile's; None if nobody has made that.

    The result has the device's own calibration in its `metrics`, and no `calibration`.
    """
    if profile is None and not own.calibration:
        return own
    profile = profile or ProfileRecord(1, own.profile)
    metrics = profile.metrics
    if own.metrics or own.calibration:
        metrics = metrics | own.metrics
        for name, calibration in own.calibration.items():
            metrics[name] = msgspec.structs.replace(metrics.get(name, Metric()), calibration=calibration)
    return DeviceRecord(
        1,
        own.id,
        own.enabled,
        own.profile,
        own.tags,
        own.groups,
        metrics,
        own.zone or profile.zone,
        own.keep_raw or profile.keep_raw,
        own.message_rate or profile.message_rate,
        own.point_rate or profile.point_rate,
        own.computed or profile.computed,
        profile.retention if own.retention == _USUAL else own.retention,
        own.interval or profile.interval,
    )


_USUAL = Retention()
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(DeviceRecord)
_profile_decoder = msgspec.json.Decoder(ProfileRecord)


def encode_record(record: DeviceRecord | ProfileRecord) -> bytes:
    """Write a record for the bucket."""
    return _encoder.encode(record)


def decode_record(data: bytes) -> DeviceRecord:
    """Read a device's record from the bucket. Raises msgspec.DecodeError if it is none that this version knows."""
    try:
        return _decoder.decode(data)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error


def decode_profile(data: bytes) -> ProfileRecord:
    """Read a profile's record from the bucket. Raises msgspec.DecodeError if it is none that this version knows."""
    try:
        return _profile_decoder.decode(data)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error


_PLAIN = re.compile(r"[A-Za-z0-9_/-]")


def kv_key(device: str) -> str:
    """Key of `device` in the bucket: keys allow few characters, so the others become `=XX`, byte by byte."""
    return "".join(c if _PLAIN.match(c) else "".join(f"={b:02X}" for b in c.encode()) for c in device)


_PROFILE = "profile."  # a point that no device's key has


def profile_key(profile: str) -> str:
    """Key of a profile in the bucket; no device has it."""
    return _PROFILE + kv_key(profile)


def is_profile_key(key: str) -> bool:
    """Whether a key of the bucket is a profile's."""
    return key.startswith(_PROFILE)
