"""A profile as the registry holds it, and what the data path is told of it and of devices."""

from dataclasses import dataclass, field
from typing import Any

from contracts.devices import DeviceRecord, Metric, ProfileRecord, Retention
from devices_api.registry.devices import Device


@dataclass(frozen=True)
class NewProfile:
    """What a profile says of its devices; see contracts.devices.ProfileRecord.

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


@dataclass(frozen=True)
class Version:
    """What a profile was from `at` on, in ns since 1970 UTC, as `by` had put it."""

    version: int
    at: int
    by: str
    content: NewProfile


def record_of(device: Device, groups: list[str]) -> DeviceRecord:
    """Build what the data path is told of `device`, which is in `groups` and below them.

    One that is deleted is told of as one that is disabled: what it sends is kept apart, and does not register it again.
    """
    return DeviceRecord(
        1,
        device.id,
        device.enabled and device.deleted is None,
        device.profile,
        device.tags,
        groups,
        zone=device.zone,
        calibration=device.calibration,
    )


def profile_record(profile: Profile) -> ProfileRecord:
    """Build what the data path is told of `profile`."""
    return ProfileRecord(
        1,
        profile.id,
        profile.metrics,
        profile.zone,
        profile.keep_raw,
        profile.message_rate,
        profile.point_rate,
        profile.computed,
        profile.retention,
        profile.interval,
    )
