"""Runs one rule over history, device after device, and says what it would have done."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

from alerting.dryrun.device import DeviceRunner
from alerting.dryrun.history import History
from alerting.dryrun.merging import in_order
from alerting.dryrun.outcome import Cut, DryRun, Limits
from alerting.rules.kinds import WindowSpec
from alerting.rules.rule import Rule
from contracts.derived import Window
from contracts.devices import DeviceRecord
from contracts.readings import Reading
from contracts.timeseries import Tier, days_of

Known = tuple[str, DeviceRecord | None]
"""A device and its record."""

_AT_ONCE = 200
"""Events between two looks at the time."""


async def _never() -> bool:
    return False


async def dry_run(
    rule: Rule,
    start: int,
    end: int,
    devices: Iterable[Known],
    history: History,
    limits: Limits,
    *,
    out_of_time: Callable[[], Awaitable[bool]] = _never,
) -> DryRun:
    """Run `rule` over the `history` of those of `devices` that it selects, as they are registered now.

    Each reading counts as heard at its own time, and the clock goes on to it from the one before: so nothing is late,
    stale or missing that is in the history. `out_of_time` is asked now and then, and may let others go on. Raises
    UnavailableError if history cannot be had.
    """
    run = DryRun(start, end)
    selected = sorted(
        (known for known in devices if _looks_at(rule, *known)),
        key=lambda known: known[0],
    )
    run.selected = len(selected)
    if len(selected) > limits.devices:
        run.cut.append("devices")
    for device, record in selected[: limits.devices]:
        if await out_of_time():
            run.cut.append("time")
            break
        room = limits.changes - sum(len(one.changes) for one in run.timeline)
        runner = DeviceRunner(rule, device, record, start, room)
        cut_at = None
        async for ts, event in _events(rule, device, record, (start, end), history):
            if (cut := await _cut(run.events, limits, out_of_time)) is not None:
                run.cut.append(cut)
                cut_at = ts
                break
            runner.take(ts, event)
            run.events += 1
        runner.finish(end if cut_at is None else cut_at)
        _add(run, runner)
        if cut_at is not None:
            break
    return run


async def _cut(events: int, limits: Limits, out_of_time: Callable[[], Awaitable[bool]]) -> Cut | None:
    if events >= limits.events:
        return "events"
    return "time" if (events + 1) % _AT_ONCE == 0 and await out_of_time() else None


def _looks_at(rule: Rule, device: str, record: DeviceRecord | None) -> bool:
    return (record is None or record.enabled) and rule.spec.selector.selects(device, record)


def _add(run: DryRun, runner: DeviceRunner) -> None:
    one = runner.run
    run.devices += 1
    run.alerts, run.firing_ns = run.alerts + one.alerts, run.firing_ns + one.firing_ns
    run.failures, run.failure = run.failures + one.failures, run.failure or runner.failure
    if one.changed:
        run.timeline.append(one)
    if len(one.changes) < one.changed and "changes" not in run.cut:
        run.cut.append("changes")


async def _events(
    rule: Rule, device: str, record: DeviceRecord | None, span: tuple[int, int], history: History
) -> AsyncIterator[tuple[int, Reading | Window]]:
    spec = rule.spec
    series: list[AsyncIterator[tuple[int, Reading | Window]]] = []
    if isinstance(spec, WindowSpec):
        days = days_of(record.zone if record is not None else "")
        series.append(_ended(history.windows(device, spec.metric, Tier(spec.tier), days, *span)))
    if not isinstance(spec, WindowSpec) or rule.silence_after is not None:
        metrics = rule.judge.metrics if rule.judge is not None else {rule.metric} - {""}
        series.append(_timed(history.readings(device, metrics, *span)))
    async for event in in_order(series):
        yield event


async def _ended(windows: AsyncIterator[Window]) -> AsyncIterator[tuple[int, Reading | Window]]:
    async for window in windows:
        yield window.end, window


async def _timed(readings: AsyncIterator[Reading]) -> AsyncIterator[tuple[int, Reading | Window]]:
    async for reading in readings:
        yield reading.ts, reading
