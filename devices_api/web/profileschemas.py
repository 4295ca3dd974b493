"""What the API takes and answers about profiles and calibration. Times are RFC 3339 UTC with nine fraction digits."""

from itertools import pairwise
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from contracts.computed import ComputedFailure
from contracts.devices import Calibration, Metric, Retention
from contracts.expressions import MOST_CHARACTERS, Expression
from contracts.rates import parse_rate
from contracts.times import format_time, parse_time
from contracts.units import MAX_UNIT, canonical
from devices_api.cursors import encode_cursor
from devices_api.registry.profiles import NewProfile, Profile
from devices_api.web.alertschemas import AlertDefault, Alerts

MOST_METRICS = 500
MOST_COMPUTED = 100
MOST_DAYS = 36_500
MOST_INTERVAL = 366 * 86_400.0
MOST_CALIBRATIONS = 50
"""Of one metric, over the years."""


def _name(text: str) -> str:
    if len(text.encode()) > 256:  # noqa: PLR2004 - as long as a name that ingest takes by default
        raise ValueError("the name of a metric has at most 256 bytes")
    return text


def _zone(text: str) -> str:
    if text:
        try:
            ZoneInfo(text)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{text!r} is no time zone of the IANA database, such as Europe/Paris") from error
    return text


def _rate(text: str) -> str:
    parse_rate(text)
    return text.strip()


def _expression(text: str) -> str:
    Expression(text)
    return text


MetricName = Annotated[str, Field(min_length=1), AfterValidator(_name)]
Zone = Annotated[str, Field(max_length=64, examples=["Europe/Paris"]), AfterValidator(_zone)]
Rate = Annotated[str, Field(max_length=128, examples=["20:1,600:60"]), AfterValidator(_rate)]
Computation = Annotated[str, Field(max_length=MOST_CHARACTERS), AfterValidator(_expression)]
Days = Annotated[int, Field(ge=0, le=MOST_DAYS)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Since = Annotated[
    int,
    BeforeValidator(lambda value: parse_time(str(value))),
    PlainSerializer(format_time, return_type=str),
    Field(json_schema_extra={"type": "string", "format": "date-time"}),
]


class CalibrationEntry(BaseModel):
    """What makes the sensor's number right from `since` on: the polynomial's value, times scale, plus offset."""

    model_config = ConfigDict(extra="forbid")

    since: Since = Field(default=0, description="From which time on it holds; by default from the beginning")
    scale: Number = 1.0
    offset: Number = 0.0
    polynomial: list[Number] = Field(
        default=[], max_length=16, description="Coefficients of value^0, value^1 and so on; where empty, the value"
    )

    @model_validator(mode="after")
    def _keeps_the_number(self) -> Self:
        if self.scale == 0:
            raise ValueError("a scale of 0 would make all numbers equal")
        return self


def _ordered(entries: list[CalibrationEntry]) -> list[CalibrationEntry]:
    if any(later.since <= earlier.since for earlier, later in pairwise(entries)):
        raise ValueError("calibrations have to be in the order of `since`, each at another time")
    return entries


Calibrations = Annotated[list[CalibrationEntry], Field(max_length=MOST_CALIBRATIONS), AfterValidator(_ordered)]
OwnCalibration = Annotated[
    dict[MetricName, Calibrations],
    Field(max_length=MOST_METRICS, description="By metric; goes before the profile's"),
]


def read_calibrations(entries: list[CalibrationEntry]) -> list[Calibration]:
    """Turn entries into what is kept."""
    return [Calibration(entry.since, entry.scale, entry.offset, entry.polynomial) for entry in entries]


def show_calibrations(entries: list[Calibration]) -> list[CalibrationEntry]:
    """Turn what is kept into entries."""
    return [CalibrationEntry.model_construct(**msgspec.structs.asdict(entry)) for entry in entries]


class MetricEntry(BaseModel):
    """What is asked of a metric. Readings are brought to `unit`, then calibrated, then compared with the range."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["number", "boolean", "text"] = "number"
    unit: Annotated[str, Field(max_length=MAX_UNIT, examples=["degC"]), AfterValidator(canonical)] = ""
    min: Number | None = None
    max: Number | None = None
    calibration: Calibrations = []

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min ({self.min}) is above max ({self.max})")
        if self.type != "number" and (self.unit or self.calibration or self.min is not None or self.max is not None):
            raise ValueError(f"unit, min, max and calibration are for numbers; the type is {self.type}")
        return self


class RetentionEntry(BaseModel):
    """For how many days each tier is kept; 0 for ever."""

    model_config = ConfigDict(extra="forbid")

    raw: Days = Field(default=30, description="Raw points, in days")
    m1: Days = Field(default=180, alias="1m", description="Windows of a minute")
    h1: Days = Field(default=1825, alias="1h", description="Windows of an hour")
    d1: Days = Field(default=0, alias="1d", description="Windows of a day")

    @model_validator(mode="after")
    def _coarser_longer(self) -> Self:
        tiers = [("raw", self.raw), ("1m", self.m1), ("1h", self.h1), ("1d", self.d1)]
        for (finer, short), (coarser, long) in pairwise(tiers):
            if long and (long < short or not short):
                raise ValueError(
                    f"{coarser} is kept {_days(long)} and {finer} {_days(short)}: what is coarser is kept at least "
                    "as long as what is finer"
                )
        return self


def _days(days: int) -> str:
    return f"for {days} days" if days else "for ever"


class ProfileIn(BaseModel):
    """A profile: what is asked of the devices that name it. What is left out is not asked."""

    model_config = ConfigDict(extra="forbid")

    metrics: Annotated[
        dict[MetricName, MetricEntry],
        Field(max_length=MOST_METRICS, examples=[{"temperature": {"unit": "degC", "min": -40, "max": 85}}]),
    ] = {}
    zone: Zone = Field(default="", description="Time zone of devices that send times without one")
    keep_raw: bool = Field(
        default=False, description="Store the device's own number as METRIC.raw beside one that was corrected"
    )
    message_rate: Rate = Field(default="", description="Token buckets CAPACITY:SECONDS; empty for ingest's default")
    point_rate: Rate = Field(default="", description="The same for values")
    computed: Annotated[
        dict[MetricName, Computation],
        Field(
            max_length=MOST_COMPUTED,
            description="Metrics that are computed from others, by expressions in CEL",
            examples=[{"power": "voltage * current", "flow": "rate(volume) * 60"}],
        ),
    ] = {}
    retention: RetentionEntry = Field(default=RetentionEntry(), description="How long readings are kept, in days")
    interval: Annotated[float, Field(ge=0, le=MOST_INTERVAL, allow_inf_nan=False)] = Field(
        default=0.0, description="Seconds between two readings of a device, as expected; 0 where nobody knows"
    )
    alerts: Alerts = []

    @model_validator(mode="after")
    def _alerts_about_numbers(self) -> Self:
        for alert in self.alerts:
            metric = self.metrics.get(alert.metric)
            if metric is not None and metric.type != "number":
                raise ValueError(f"alerts: {alert.metric!r} is a {metric.type}; thresholds are for numbers")
        return self

    @model_validator(mode="after")
    def _computes_from_what_is_sent(self) -> Self:
        for name, text in self.computed.items():
            if name in self.metrics:
                raise ValueError(f"{name!r} is in metrics and in computed; a metric is either sent or computed")
            if used := sorted(Expression(text).metrics & self.computed.keys()):
                raise ValueError(
                    f"computed.{name} uses {used[0]!r}, which is itself computed; write out what that is computed from"
                )
        return self

    def content(self) -> NewProfile:
        """Turn it into what is kept."""
        metrics = {
            name: Metric(entry.type, entry.unit, entry.min, entry.max, read_calibrations(entry.calibration))
            for name, entry in self.metrics.items()
        }
        days = self.retention
        return NewProfile(
            metrics,
            self.zone,
            self.keep_raw,
            self.message_rate,
            self.point_rate,
            self.computed,
            Retention(days.raw, days.m1, days.h1, days.d1),
            self.interval,
            [alert.content() for alert in self.alerts],
        )

    @staticmethod
    def of(profile: NewProfile) -> "ProfileIn":
        """Show what a profile says, as it could be put again."""
        return ProfileIn.model_construct(**ProfileIn.shown(profile))

    @staticmethod
    def shown(profile: NewProfile) -> dict[str, Any]:
        """Give the fields of what a profile says."""
        metrics = {
            name: MetricEntry.model_construct(
                type=metric.type,
                unit=metric.unit,
                min=metric.min,
                max=metric.max,
                calibration=show_calibrations(metric.calibration),
            )
            for name, metric in profile.metrics.items()
        }
        retention = RetentionEntry.model_construct(**msgspec.structs.asdict(profile.retention))
        alerts = [AlertDefault.model_validate(alert) for alert in profile.alerts]
        return vars(profile) | {"metrics": metrics, "retention": retention, "alerts": alerts}


class ProfileOut(ProfileIn):
    """A profile that is kept."""

    id: str
    created: str
    updated: str
    version: Annotated[int, Field(description="One more with each change of it; the ETag of this")]

    @staticmethod
    def of_kept(profile: Profile) -> "ProfileOut":
        """Show a profile."""
        times = {"created": format_time(profile.created), "updated": format_time(profile.updated)}
        return ProfileOut.model_construct(**ProfileIn.shown(profile) | times)


class FailureOut(BaseModel):
    """Why a computed metric has no value."""

    error: str
    device: Annotated[str, Field(description="With whose reading it failed last")]
    since: str
    last: str
    count: Annotated[int, Field(description="About how many times it has failed since")]

    @staticmethod
    def of(failure: ComputedFailure) -> "FailureOut":
        """Show a failure."""
        return FailureOut.model_construct(
            error=failure.error,
            device=failure.device,
            since=format_time(failure.since),
            last=format_time(failure.last),
            count=failure.count,
        )


class ProfileShown(ProfileOut):
    """A profile, and what fails of it."""

    failing: Annotated[
        dict[str, FailureOut] | None,
        Field(
            description="The computed metrics that fail, by name; null while the stream server is away, and for a key "
            "that is limited to groups"
        ),
    ] = None

    @staticmethod
    def with_failures(profile: Profile, failures: dict[str, ComputedFailure] | None) -> "ProfileShown":
        """Show a profile; `failures` is None if they cannot be known now."""
        failing = None if failures is None else {name: FailureOut.of(failure) for name, failure in failures.items()}
        return ProfileShown.model_construct(**vars(ProfileOut.of_kept(profile)), failing=failing)


class ProfilePage(BaseModel):
    """Profiles by id."""

    items: list[ProfileOut]
    next: Annotated[str | None, Field(description="Cursor of the next page; null after the last")]

    @staticmethod
    def of(profiles: list[Profile], limit: int) -> "ProfilePage":
        """Show the first `limit` of `profiles`; there is a next page if there are more."""
        shown = profiles[:limit]
        following = encode_cursor("profiles", shown[-1].id) if len(profiles) > limit else None
        return ProfilePage.model_construct(items=[ProfileOut.of_kept(profile) for profile in shown], next=following)
