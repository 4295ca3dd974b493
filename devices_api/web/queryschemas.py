"""Queries of many series: what they take and what they answer."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from contracts.requests import TimeParam
from devices_api.lists.filters import LONGEST
from devices_api.telemetry.filling import Fill
from devices_api.telemetry.queries import MAX_SERIES
from devices_api.telemetry.thinning import LEAST
from devices_api.telemetry.windows import Aggregate, Source
from devices_api.web.addressing import LONGEST_NAME, MAX_NAMED
from devices_api.web.params import MAX_POINTS, Interval, ZoneParam
from devices_api.web.schemas import Next, Point, Value


class LatestOf(BaseModel):
    """The newest point of each metric of a device."""

    device: str
    values: dict[str, Point]


class LatestPage(BaseModel):
    """Devices, in the order in which they were named, or by id."""

    items: list[LatestOf]
    next: Next


class QueryIn(BaseModel):
    """What is asked for: each of `metrics` of each device, over `start` <= ts < `end`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "devices": ["still-1", "still-2"],
                "metrics": ["column.t"],
                "start": "2026-01-01T00:00:00Z",
                "end": "2026-01-02T00:00:00Z",
                "aggregates": ["mean", "max"],
                "interval": "1h",
                "fill": "null",
            }
        },
    )

    devices: list[Annotated[str, Field(min_length=1, max_length=256)]] = Field(default=[], max_length=MAX_NAMED)
    filter: str | None = Field(default=None, max_length=LONGEST, description="Filter of devices, instead of `devices`")
    metrics: list[Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]] = Field(
        min_length=1, max_length=MAX_SERIES
    )
    start: TimeParam
    end: TimeParam
    aggregates: list[Aggregate] = Field(
        default=[], max_length=len(Aggregate), description="None: the points themselves"
    )
    interval: Interval = Field(
        default="auto",
        description="Width of the windows; auto: the finest of 1m, 1h and 1d of which there are at most `max_points`",
    )
    zone: ZoneParam = None
    fill: Fill | Annotated[float, Field(allow_inf_nan=False)] = Field(
        default=Fill.NONE, description="What a window without a point is given; a number: that number"
    )
    max_points: Annotated[int, Field(ge=LEAST, le=MAX_POINTS)] | None = Field(
        default=None, description="Most points, or windows, of a series; the ones that keep its shape"
    )


_POINT: dict[str, Any] = {
    "type": "object",
    "properties": {"ts": {"type": "string"}},
    "required": ["ts"],
    "additionalProperties": {"anyOf": [{"type": "number"}, {"type": "boolean"}, {"type": "string"}, {"type": "null"}]},
}


class SeriesOut(BaseModel):
    """A series. A point has `ts` and `value`; a window has `ts`, its start, and a value by each aggregate's name."""

    device: str
    metric: str
    source: Source
    points: list[Annotated[dict[str, Value | None], WithJsonSchema(_POINT)]]


class QueryOut(BaseModel):
    """The series, by device and metric as they were named."""

    items: list[SeriesOut]
    aggregates: list[Aggregate]
    interval: str | None
