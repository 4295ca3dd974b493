"""What the API takes and answers. Times are RFC 3339 UTC with nine fraction digits."""

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from contracts.topics import device_id_problem
from devices_api.cursors import encode_cursor
from devices_api.devices import DEFAULT_PROFILE, Device
from devices_api.times import format_time
from devices_api.windows import Aggregate, Source

Time = Annotated[str, Field(examples=["2026-01-01T00:00:00.250000000Z"])]
Value = float | bool | str
Next = Annotated[str | None, Field(description="Cursor of the next page; null after the last")]


def _device_id(text: str) -> str:
    if problem := device_id_problem(text):
        raise ValueError(f"a device id has to fit one level of an MQTT topic; this one {problem}")
    return text


DeviceId = Annotated[str, AfterValidator(_device_id), Field(examples=["pump-7"])]
Name = Annotated[str, Field(min_length=1, max_length=256)]
Profile = Annotated[str, Field(min_length=1, max_length=64)]
Tags = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=64)], Annotated[str, Field(max_length=256)]],
    Field(max_length=64, examples=[{"site": "north"}]),
]


class DeviceIn(BaseModel):
    """A device to register."""

    model_config = ConfigDict(extra="forbid")

    id: DeviceId
    name: Name | None = Field(default=None, description="What people call it; the id where none is given")
    profile: Profile = DEFAULT_PROFILE
    tags: Tags = {}
    enabled: bool = Field(default=True, description="Readings of a disabled device become dead letters")


class DevicePatch(BaseModel):
    """What to replace of a device; what is left out stays. Tags are replaced as a whole."""

    model_config = ConfigDict(extra="forbid")

    name: Name = ""
    profile: Profile = ""
    tags: Tags = {}
    enabled: bool = True


class DeviceOut(BaseModel):
    """A registered device, and whether it is online: null until it has told of itself."""

    id: str
    name: str
    profile: str
    tags: dict[str, str]
    enabled: bool
    created: Time
    updated: Time
    online: bool | None
    last_changed: Annotated[Time | None, Field(description="When it went online or offline")]

    @classmethod
    def of(cls, device: Device) -> Self:
        """Show a device."""
        changed = None if device.last_changed is None else format_time(device.last_changed)
        times = {"created": format_time(device.created), "updated": format_time(device.updated)}
        return cls(**vars(device) | times | {"last_changed": changed})


class DevicePage(BaseModel):
    """Devices by id."""

    items: list[DeviceOut]
    next: Next

    @classmethod
    def of(cls, devices: list[Device], limit: int) -> Self:
        """Show the first `limit` of `devices`; there is a next page if there are more."""
        shown = devices[:limit]
        following = encode_cursor("devices", shown[-1].id) if len(devices) > limit else None
        return cls(items=[DeviceOut.of(device) for device in shown], next=following)


class Point(BaseModel):
    """One point, or one window by its start."""

    ts: Time
    value: Value | None


class Latest(BaseModel):
    """The newest point of each metric."""

    device: str
    values: dict[str, Point]


class Points(BaseModel):
    """Points of one metric in order of time; with `aggregate`, one for each window that holds a number."""

    device: str
    metric: str
    points: list[Point]
    next: Next
    aggregate: Aggregate | None = None
    interval: str | None = None
    source: Annotated[Source | None, Field(description="What answered: the rollups or the raw points")] = None
