"""What a model's file says."""

from typing import Annotated, Literal

from pydantic import Field

from simulators.models.fields import (
    Days,
    Duration,
    Durations,
    Hours,
    Name,
    Number,
    Part,
    Period,
    Place,
    Range,
    Share,
    Size,
    Spans,
)

Decimals = Annotated[int, Field(ge=0, le=9)]


class Drift(Part):
    """Slow movement by up to `size` up and down, which knows nothing of itself a `period` later."""

    size: Size
    period: Period


class Jitter(Part):
    """A factor between 1 - `size` and 1 + `size`, another one each `every`; its mean is 1.

    Where the curve follows a day, time counts for as much as the day's factor there.
    """

    size: Share
    every: Period


class Signal(Part):
    """What numbers that are measured have in common.

    `noise` is the standard deviation of what each reading has of its own. `factors` multiplies by the state of the
    cycle; a state that is not named has 1. `least` and `most` bound the value, unless an event says otherwise.
    """

    unit: str = ""
    decimals: Decimals = 2
    drift: Drift | None = None
    noise: Size = 0.0
    factors: dict[Name, Number] = Field(default_factory=dict)
    least: Number | None = None
    most: Number | None = None


class Curve(Signal):
    """`base`, times the factors of day and week and the jitter, plus `swing` at the hour `peak`, less it 12 h later.

    `shift` is by how much later than said a device's day may be.
    """

    kind: Literal["curve"]
    base: Range
    day: Hours | None = None
    week: Days | None = None
    jitter: Jitter | None = None
    swing: Range = (0.0, 0.0)
    peak: Annotated[Number, Field(ge=0, lt=24)] = 15.0
    shift: Duration = 0


class Derived(Signal):
    """`offset` plus the sum of other metrics, each with its factor; times `times`, over `over` (0 where that is 0)."""

    kind: Literal["derived"]
    offset: Range = (0.0, 0.0)
    terms: dict[Name, Number] = Field(default_factory=dict)
    times: Name | None = None
    over: Name | None = None


class Decay(Part):
    """From `start` to `end` in a straight line within `days`, then anew, as a battery that is changed when empty."""

    kind: Literal["decay"]
    unit: str = ""
    decimals: Decimals = 1
    start: Number
    end: Number
    days: Range


class Counter(Part):
    """The integral of the curve `of`, which is a rate for each `per`, since 2020, times `factor`; it never falls.

    `start` is what it had counted by then. Drift and noise of the curve do not count, nor do events.
    """

    kind: Literal["counter"]
    unit: str = ""
    decimals: Decimals = 3
    of: Name
    per: Period
    factor: Annotated[Number, Field(gt=0)] = 1.0
    start: Range = (0.0, 0.0)


class OnTrack(Part):
    """Where a device is on its track, and where it is headed (degrees from north, clockwise)."""

    kind: Literal["track"]
    gives: Literal["latitude", "longitude", "heading"]
    unit: str = "deg"
    decimals: Decimals = 6


class StateText(Part):
    """The name of the state."""

    kind: Literal["state"]


class Limit(Part):
    """A metric, as it is published, and a value."""

    metric: Name
    value: Number


class Boolean(Part):
    """True in `states`, or while a metric is more than `above` or less than `below`; without them, in events."""

    kind: Literal["boolean"]
    states: list[Name] | None = None
    above: Limit | None = None
    below: Limit | None = None


class Text(Part):
    """One of `values`: each device has its own, and another one (or the same again) each `every`."""

    kind: Literal["text"]
    values: Annotated[list[str], Field(min_length=1)]
    every: Period | None = None


MetricSpec = Annotated[
    Curve | Derived | Decay | Counter | OnTrack | StateText | Boolean | Text, Field(discriminator="kind")
]


class Step(Part):
    """A state and how long it lasts; the last step of a cycle has the rest of it."""

    state: Name
    lasts: Spans | None = None


class States(Part):
    """A machine that goes through its steps in each `cycle`, at times of its own.

    `busy` is the share of cycles in which it does, or one for each hour of the day (UTC); in others it stays in the
    first state.
    """

    cycle: Period
    steps: Annotated[list[Step], Field(min_length=2)]
    busy: Share | Hours = 1.0


class Track(Part):
    """A closed way with `corners`, each about `radius` km from its middle, which is up to `around` km from `center`.

    `center` is latitude and longitude; `speed` names the curve, in km/h, by which the device goes round.
    """

    center: Place
    around: Size
    radius: Range
    corners: Annotated[int, Field(ge=3, le=32)] = 8
    speed: Name


class EventSpec(Part):
    """Something that happens to each device once in `every`, with this `chance`, up to `vary` later than its turn.

    `metric` goes to `peak` within `ramp`, and back in the end; a boolean is true from beginning to end. `also` says to
    which values other metrics go meanwhile, and `state` what the machine's state is.
    """

    metric: Name
    every: Period
    chance: Share = 1.0
    length: Durations
    ramp: Duration = 0
    vary: Duration | None = None
    peak: Range | None = None
    also: dict[Name, Number] = Field(default_factory=dict)
    state: Name | None = None


class ChildrenSpec(Part):
    """Devices behind each device of this model: `count` of another model, by name or file."""

    model: Annotated[str, Field(min_length=1)]
    count: Annotated[int, Field(ge=1, le=1000)]


class ModelSpec(Part):
    """A model's file."""

    name: Name
    prefix: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    metrics: Annotated[dict[Name, MetricSpec], Field(min_length=1)]
    states: States | None = None
    track: Track | None = None
    events: dict[Name, EventSpec] = Field(default_factory=dict)
    children: ChildrenSpec | None = None
