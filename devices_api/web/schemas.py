"""What the API takes and answers. Times are RFC 3339 UTC with nine fraction digits."""

from typing import Annotated, Self, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from contracts.devices import DEFAULT_PROFILE, Calibration
from contracts.requests import storable
from contracts.times import format_time
from contracts.topics import device_id_problem
from devices_api.registry.devices import Change, Device, NewDevice
from devices_api.telemetry.windows import Aggregate, Source
from devices_api.web.profileschemas import CalibrationEntry, OwnCalibration, Zone, read_calibrations, show_calibrations
from devices_api.web.textschemas import Attributes, GroupId, Location

Time = Annotated[str, Field(examples=["2026-01-01T00:00:00.250000000Z"])]
Value = float | bool | str
Next = Annotated[str | None, Field(description="Cursor of the next page; null after the last")]


def _device_id(text: str) -> str:
    if problem := device_id_problem(text):
        raise ValueError(f"a device id has to fit one level of an MQTT topic; this one {problem}")
    return text


DeviceId = Annotated[str, AfterValidator(_device_id), Field(examples=["pump-7"])]
Name = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(storable)]
Profile = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(storable)]
Tags = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=64), AfterValidator(storable)],
        Annotated[str, Field(max_length=256), AfterValidator(storable)],
    ],
    Field(max_length=64, examples=[{"site": "north"}]),
]
Groups = Annotated[
    list[GroupId],
    Field(max_length=32, description="Groups that it is in, by id; it is then in those above them as well"),
    AfterValidator(lambda ids: sorted(set(ids))),
]


class DeviceIn(BaseModel):
    """A device to register."""

    model_config = ConfigDict(extra="forbid")

    id: DeviceId
    name: Name | None = Field(default=None, description="What people call it; the id where none is given")
    profile: Profile = DEFAULT_PROFILE
    tags: Tags = {}
    enabled: bool = Field(default=True, description="Readings of a disabled device become dead letters")
    zone: Zone = Field(default="", description="Time zone of its times without one; goes before the profile's")
    calibration: OwnCalibration = {}
    groups: Groups = []
    attributes: Attributes = {}
    location: Location | None = None

    def content(self) -> NewDevice:
        """Turn it into what is kept."""
        return NewDevice(
            self.id,
            self.name or self.id,
            self.profile,
            self.tags,
            self.enabled,
            self.zone,
            _read(self.calibration),
            self.groups,
            self.attributes,
            *_degrees(self.location),
        )


class DevicePatch(BaseModel):
    """What to replace of a device; what is left out stays.

    Tags, groups, attributes, location and calibration are replaced as a whole; a location of null removes it.
    """

    model_config = ConfigDict(extra="forbid")

    name: Name = ""
    profile: Profile = ""
    tags: Tags = {}
    enabled: bool = True
    zone: Zone = ""
    calibration: OwnCalibration = {}
    groups: Groups = []
    attributes: Attributes = {}
    location: Location | None = None

    def content(self) -> Change:
        """Turn it into what is to be changed."""
        change = cast("Change", self.model_dump(exclude_unset=True, exclude={"location"}))
        if "calibration" in change:
            change["calibration"] = _read(self.calibration)
        if "location" in self.model_fields_set:
            change["latitude"], change["longitude"] = _degrees(self.location)
        return change


def _read(calibration: OwnCalibration) -> dict[str, list[Calibration]]:
    return {metric: read_calibrations(entries) for metric, entries in calibration.items()}


def _degrees(location: Location | None) -> tuple[float | None, float | None]:
    return (None, None) if location is None else (location.latitude, location.longitude)


class DeviceOut(BaseModel):
    """A registered device, and whether it is online: null until it has told of itself."""

    id: str
    name: str
    profile: str
    tags: dict[str, str]
    enabled: bool
    zone: str
    created: Time
    updated: Time
    online: bool | None
    last_changed: Annotated[Time | None, Field(description="When it went online or offline")]
    reason: Annotated[str | None, Field(description="Why it went online or offline, where that is known")]
    last_seen: Annotated[Time | None, Field(description="When its newest message came of which something is stored")]
    messages: Annotated[int, Field(description="Messages that have come of which something is stored")]
    groups: Annotated[list[str], Field(description="Groups that it is in, of those that the key sees")]
    attributes: dict[str, JsonValue]
    location: Location | None
    deleted: Annotated[Time | None, Field(description="When it was deleted, if it is")]
    version: Annotated[int, Field(description="One more with each change of it; the ETag of this")]

    @classmethod
    def of(cls, device: Device) -> Self:
        """Show a device."""
        times = {
            name: None if (time := getattr(device, name)) is None else format_time(time)
            for name in ("created", "updated", "last_changed", "last_seen", "deleted")
        }
        return cls(**vars(device) | times | {"calibration": _shown(device), "location": Location.of(device)})


def _shown(device: Device) -> dict[str, list[CalibrationEntry]]:
    return {metric: show_calibrations(entries) for metric, entries in device.calibration.items()}


class DeviceDetail(DeviceOut):
    """A registered device with its own calibration, and the facts that it tells of itself."""

    calibration: dict[str, list[CalibrationEntry]]
    facts: dict[str, str]


class Point(BaseModel):
    """One point, or one window by its start."""

    ts: Time
    value: Value | None


class Latest(BaseModel):
    """The newest point of each metric."""

    device: str
    values: dict[str, Point]


class Points(BaseModel):
    """Points of one metric in order of time; with `aggregate`, one for each window that holds a point."""

    device: str
    metric: str
    points: list[Point]
    next: Next
    aggregate: Aggregate | None = None
    interval: str | None = None
    source: Annotated[Source | None, Field(description="What answered: the rollups or the raw points")] = None
