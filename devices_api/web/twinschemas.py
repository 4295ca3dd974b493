"""What the API takes and answers about twins."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, Field, JsonValue

from contracts.times import format_time
from devices_api.twins.twin import DEEPEST, MOST_BYTES, Twin, check, delta, state_of, times_of
from devices_api.web.schemas import Time

_BOUNDS = f"At most {MOST_BYTES} bytes as JSON, {DEEPEST} levels deep"

StateIn = Annotated[
    dict[str, JsonValue],
    AfterValidator(check),
    Field(description=f"A state, or a merge patch (RFC 7396) of one. {_BOUNDS}", examples=[{"valve": {"open": True}}]),
]
StateOut = Annotated[dict[str, JsonValue], Field(examples=[{"valve": {"open": True}}])]


class TimesOut(BaseModel):
    """When each field was last given its value; in the shape of the states."""

    desired: dict[str, Any]
    reported: dict[str, Any]


class TwinOut(BaseModel):
    """A device's twin. `version` counts the changes of the desired state, `reports` those of the reported one."""

    device: str
    version: Annotated[int, Field(description="Of the desired state; the ETag, which If-Match takes")]
    desired: StateOut
    reported: StateOut
    delta: Annotated[StateOut, Field(description="What the desired state has and the reported one has not")]
    reports: int
    applied: Annotated[int | None, Field(description="The version that the device says it has applied")]
    times: TimesOut

    @classmethod
    def of(cls, twin: Twin) -> Self:
        """Show a twin."""
        desired, reported = state_of(twin.desired), state_of(twin.reported)
        times = TimesOut(desired=_shown(times_of(twin.desired)), reported=_shown(times_of(twin.reported)))
        return cls(
            device=twin.device,
            version=twin.version,
            desired=desired,
            reported=reported,
            delta=delta(desired, reported),
            reports=twin.reports,
            applied=twin.applied,
            times=times,
        )


def _shown(times: dict[str, Any]) -> dict[str, Time | dict[str, Any]]:
    return {name: _shown(at) if isinstance(at, dict) else format_time(at) for name, at in times.items()}
