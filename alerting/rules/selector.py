"""Which devices a rule looks at. Pure."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from contracts.devices import DEFAULT_PROFILE, DeviceRecord
from contracts.topics import device_id_problem

MAX_DEVICES = 1000
MAX_NAMES = 100


def _device(device: str) -> str:
    if problem := device_id_problem(device):
        raise ValueError(f"the device id {device!r} {problem}")
    return device


Name = Annotated[str, Field(min_length=1, max_length=256)]
Names = Annotated[list[Name], Field(min_length=1, max_length=MAX_NAMES)]


class Selector(BaseModel):
    """Devices for which all that is given holds; all devices, registered or not, where nothing is given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    devices: (
        Annotated[list[Annotated[str, AfterValidator(_device)]], Field(min_length=1, max_length=MAX_DEVICES)] | None
    ) = Field(default=None, description="One of these device ids")
    profile: Name | None = Field(default=None, description="A profile of the registry")
    tags: dict[Name, Names | Name] | None = Field(
        default=None, min_length=1, max_length=20, description="For each tag the value that it has, or one of several"
    )
    groups: Names | None = Field(default=None, description="In one of these groups, or in one below it")

    def selects(self, device: str, record: DeviceRecord | None) -> bool:
        """Whether it looks at `device`; `record` is None where the device is not registered."""
        if self.devices is not None and device not in self.devices:
            return False
        if self.profile is not None and self.profile != (DEFAULT_PROFILE if record is None else record.profile):
            return False
        if self.tags is not None:
            tags = {} if record is None else record.tags
            for tag, wanted in self.tags.items():
                value = tags.get(tag)
                if value is None or (value != wanted if isinstance(wanted, str) else value not in wanted):
                    return False
        return self.groups is None or (record is not None and not set(self.groups).isdisjoint(record.groups))
