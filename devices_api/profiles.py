"""A profile as the registry holds it, and what a device's record says because of it."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from contracts.devices import DeviceRecord, Metric, Retention
from devices_api.devices import Device


@dataclass(frozen=True)
class NewProfile:
    """What a profile says of its devices; see contracts.devices.DeviceRecord.

    `interval`: seconds between two readings of a device, 0 where nobody knows. `alerts`: rules that they are offered.
    """

    metrics: dict[str, Metric] = field(default_factory=dict)
    zone: str = ""
    keep_raw: bool = False
    message_rate: str = ""
    point_rate: str = ""
    computed: dict[str, str] = field(default_factory=dict)
    retention: Retention = field(default_factory=Retention)
    interval: float = 0.0
    alerts: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Profile(NewProfile):
    """A profile that is kept. Times in ns since 1970 UTC; each change makes a `version` of it."""

    id: str
    created: int
    updated: int
    version: int = 1


def record_of(device: Device, profile: NewProfile | None) -> DeviceRecord:
    """Build what the data path is told of `device`; `profile` is None if nobody has made the one it names.

    The device's own zone goes before its profile's, and so does its calibration, metric by metric.
    """
    profile = profile or NewProfile()
    metrics = dict(profile.metrics)
    for name, calibration in device.calibration.items():
        metrics[name] = msgspec.structs.replace(metrics.get(name, Metric()), calibration=calibration)
    return DeviceRecord(
        1,
        device.id,
        device.enabled and device.deleted is None,
        device.profile,
        device.tags,
        metrics=metrics,
        zone=device.zone or profile.zone,
        keep_raw=profile.keep_raw,
        message_rate=profile.message_rate,
        point_rate=profile.point_rate,
        computed=profile.computed,
        retention=profile.retention,
    )
