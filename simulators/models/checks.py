"""What pydantic cannot see in a model's file: names of metrics and states, and what would not be true."""

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

from simulators.models.spec import (
    Boolean,
    Counter,
    Curve,
    Decay,
    Derived,
    EventSpec,
    MetricSpec,
    ModelSpec,
    OnTrack,
    Signal,
    StateText,
)


def needs(spec: MetricSpec) -> list[str]:
    """Name the metrics whose values this one is made of."""
    match spec:
        case Derived():
            return [*spec.terms, *filter(None, (spec.times, spec.over))]
        case Boolean():
            return [limit.metric for limit in (spec.above, spec.below) if limit]
    return []


def in_order(spec: ModelSpec) -> list[str]:
    """Give the metrics so that each comes after what it is made of. Raises CycleError where they go round."""
    return list(TopologicalSorter({name: needs(metric) for name, metric in spec.metrics.items()}).static_order())


def problems(spec: ModelSpec) -> Iterator[str]:
    """Say what is wrong, each with its key."""
    for name, metric in spec.metrics.items():
        for problem in _metric(spec, metric):
            yield f"metrics.{name}{problem}"
    if spec.states:
        yield from _machine(spec)
    if spec.track and not _integrable(spec, spec.track.speed):
        yield f"track.speed: {spec.track.speed!r} is no curve that can be summed up: {_SUMMED}"
    for name in spec.events:
        for problem in _event(spec, name):
            yield f"events.{name}{problem}"
    yield from _round(spec)


_SHORTEST = 1_000_000_000
_SUMMED = "it may have neither swing nor factors, and never be below 0"


def _round(spec: ModelSpec) -> Iterator[str]:
    try:
        in_order(spec)
    except CycleError as error:
        yield f"metrics: {' needs '.join(reversed(error.args[1]))}"


def _metric(spec: ModelSpec, metric: MetricSpec) -> Iterator[str]:
    yield from _named(spec, metric)
    match metric:
        case Derived():
            yield from (f".{key}: {problem}" for key, problem in _numbers(spec, metric))
        case Counter() if not _integrable(spec, metric.of):
            yield f".of: {metric.of!r} is no curve that can be summed up: {_SUMMED}"
        case OnTrack() if spec.track is None:
            yield ": there is no [track] in this model"
        case StateText() if spec.states is None:
            yield ": there is no [states] in this model"
        case Boolean():
            if sum(one is not None for one in (metric.states, metric.above, metric.below)) > 1:
                yield ": give one of states, above and below"
            for key, limit in (("above", metric.above), ("below", metric.below)):
                if limit and not _is_number(spec, limit.metric):
                    yield f".{key}.metric: there is no number {limit.metric!r}"


def _numbers(spec: ModelSpec, metric: Derived) -> Iterator[tuple[str, str]]:
    named = [("terms", name) for name in metric.terms] + [("times", metric.times), ("over", metric.over)]
    for key, name in named:
        if name is not None and not _is_number(spec, name):
            yield key, f"there is no number {name!r}"


def _named(spec: ModelSpec, metric: MetricSpec) -> Iterator[str]:
    steps = {step.state for step in spec.states.steps} if spec.states else set()
    states = steps | {event.state for event in spec.events.values()}
    if isinstance(metric, Signal):
        yield from (f".factors.{name}: there is no step of this state" for name in metric.factors if name not in steps)
        if metric.least is not None and metric.most is not None and metric.least > metric.most:
            yield ".least: is more than most"
    if isinstance(metric, Boolean):
        yield from (f".states: there is no state {name!r}" for name in metric.states or () if name not in states)


def _machine(spec: ModelSpec) -> Iterator[str]:
    assert spec.states is not None  # noqa: S101 - the caller looks
    *timed, last = spec.states.steps
    for number, step in enumerate(timed):
        if step.lasts is None:
            yield f"states.steps.{number}.lasts: only the last step has the rest of the cycle"
            return
    if last.lasts is not None:
        yield f"states.steps.{len(timed)}.lasts: the last step has the rest of the cycle"
    if sum(step.lasts[1] for step in timed if step.lasts) > spec.states.cycle:
        yield "states.cycle: is shorter than its steps may be together"


def _event(spec: ModelSpec, name: str) -> Iterator[str]:
    event = spec.events[name]
    boolean = isinstance(spec.metrics.get(event.metric), Boolean)
    if not boolean and not _changeable(spec, event.metric):
        yield f".metric: {event.metric!r} is no curve, derived, decay or boolean metric"
    elif boolean and event.peak is not None:
        yield ".peak: a boolean has none"
    elif not boolean and event.peak is None:
        yield ".peak: is missing"
    yield from _times(event)
    for other in event.also:
        if not _changeable(spec, other):
            yield f".also.{other}: {other!r} is no curve, derived or decay metric"
    if event.state and not spec.states:
        yield ".state: there is no [states] in this model"
    for another, told in spec.events.items():
        if another != name and event.metric in {told.metric, *told.also}:
            yield f".metric: {event.metric!r} is changed by {another!r} too, so neither could be told from the other"


def _times(event: EventSpec) -> Iterator[str]:
    if event.every < _SHORTEST:
        yield ".every: has to be 1s or more"
    if event.length[1] + (event.vary or 0) > event.every:
        yield ".every: is shorter than length and vary together"
    if 2 * event.ramp > event.length[0]:
        yield ".ramp: goes up and down, so it is at most half of length"


def _is_number(spec: ModelSpec, name: str) -> bool:
    return isinstance(spec.metrics.get(name), Signal | Decay | Counter | OnTrack)


def _changeable(spec: ModelSpec, name: str) -> bool:
    return isinstance(spec.metrics.get(name), Signal | Decay)


def _integrable(spec: ModelSpec, name: str) -> bool:
    curve = spec.metrics.get(name)
    return isinstance(curve, Curve) and not curve.factors and not any(curve.swing) and curve.base[0] >= 0
