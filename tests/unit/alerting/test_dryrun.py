from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from alerting.dryrun.history import GivenHistory
from alerting.dryrun.outcome import DryRun, Limits
from alerting.dryrun.run import dry_run
from alerting.judges.build import build
from alerting.rules.spec import parse_spec
from contracts.devices import DeviceRecord
from contracts.readings import Reading, Value

S = 1_000_000_000
START = 1_767_225_600 * S
"""2026-01-01 00:00 UTC"""
PUMP = DeviceRecord(1, "pump", True, "pump", {"site": "north"}, interval=10.0)  # noqa: FBT003


def reading(device: str, at: float, **values: Value) -> Reading:
    ts = START + round(at * S)
    return Reading(device, ts, ts, values)


async def _never() -> bool:
    return False


async def tried(
    readings: list[Reading],
    *devices: DeviceRecord,
    until: float = 600,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    out_of_time: Callable[[], Awaitable[bool]] = _never,
    **content: Any,  # noqa: ANN401 - as an author writes it
) -> DryRun:
    rule = build("r", 1, parse_spec({"name": "r", **content}))
    known = [(record.id, record) for record in devices or (PUMP,)]
    return await dry_run(
        rule, START, START + round(until * S), known, GivenHistory(readings), limits, out_of_time=out_of_time
    )


def told(run: DryRun) -> list[tuple[str, float, str, int, float | None]]:
    return [
        (one.device, (change.at - START) / S, change.what.value, change.level, change.value)
        for one in run.timeline
        for change in one.changes
    ]


HOT: dict[str, Any] = {"metric": "t", "value": 30.0, "for": "20s", "clear": 25.0}


async def test_each_change_is_told_with_its_time() -> None:
    values = [29.0, 31.0, 32.0, 33.0, 28.0, 24.0, 31.0, 20.0]
    run = await tried([reading("pump", 10 * n, t=value) for n, value in enumerate(values)], **HOT)
    assert told(run) == [
        ("pump", 10, "pending", 1, 31.0),
        ("pump", 30, "firing", 1, 33.0),
        ("pump", 50, "resolved", 1, 24.0),
        ("pump", 60, "pending", 1, 31.0),
        ("pump", 70, "withdrawn", 1, 31.0),
    ]
    assert (run.selected, run.devices, run.events, run.alerts, run.firing_ns) == (1, 1, 8, 1, 20 * S)
    assert run.cut == []


async def test_the_clock_rings_between_readings() -> None:
    run = await tried([reading("pump", at, t=31.0) for at in (0, 15)], **HOT)
    assert told(run)[1] == ("pump", 20, "firing", 1, 31.0)
    assert (run.firing_ns, run.timeline[0].open) == (580 * S, "firing")


async def test_levels_are_told_as_they_rise_and_fall() -> None:
    levels = [{"severity": "warning", "value": 30}, {"severity": "critical", "value": 40}]
    run = await tried(
        [reading("pump", n, t=t) for n, t in enumerate([31.0, 41.0, 31.0, 20.0])], metric="t", levels=levels
    )
    assert [(what, level) for _, _, what, level, _ in told(run)] == [
        ("firing", 1),
        ("escalated", 2),
        ("deescalated", 1),
        ("resolved", 1),
    ]


async def test_only_devices_that_the_rule_selects_are_gone_through() -> None:
    south = DeviceRecord(1, "south", True, "pump", {"site": "south"})  # noqa: FBT003
    off = DeviceRecord(1, "off", False, "pump", {"site": "north"})  # noqa: FBT003
    run = await tried(
        [reading(device, 1, t=31.0) for device in ("pump", "south", "off")],
        *(PUMP, south, off),
        metric="t",
        value=30,
        selector={"tags": {"site": "north"}},
    )
    assert (run.selected, [one.device for one in run.timeline]) == (1, ["pump"])


async def test_each_kind_is_run() -> None:
    many = [reading("pump", n, t=float(n % 7), u=1.0) for n in range(300)]
    contents: list[dict[str, Any]] = [
        {"kind": "condition", "condition": 't > 5 && u > 0 && tags.site == "north"'},
        {"kind": "rate", "metric": "t", "value": 0.5},
        {"kind": "repeating", "metric": "t", "value": 3, "times": 3, "of": 5},
        {"kind": "deviation", "metric": "t", "value": 1.4},
    ]
    for content in contents:
        run = await tried(many, **content, flapping={"changes": 0})
        assert run.alerts > 10, content
        assert run.failures == 0


async def test_a_rule_that_fails_says_why_and_how_often() -> None:
    run = await tried([reading("pump", n, t="hot") for n in range(3)], kind="condition", condition="t > 1")
    assert (run.failures, run.failure, run.alerts) == (3, "an operator does not take values of these types", 0)


async def test_a_long_run_is_cut_off_and_says_so() -> None:
    other = DeviceRecord(1, "zump", True, "pump")  # noqa: FBT003
    readings = [reading(device, n, t=31.0 if n % 2 else 20.0) for device in ("pump", "zump") for n in range(100)]
    content: dict[str, Any] = {"metric": "t", "value": 30, "flapping": {"changes": 0}}
    few = await tried(readings, PUMP, other, limits=Limits(devices=1), **content)
    assert (few.selected, few.devices, few.cut) == (2, 1, ["devices"])
    short = await tried(readings, PUMP, other, limits=Limits(events=150), **content)
    assert (short.devices, short.events, short.alerts, short.cut) == (2, 150, 75, ["events"])
    brief = await tried(readings, PUMP, other, limits=Limits(changes=110), **content)
    assert (len(told(brief)), brief.alerts, brief.cut) == (110, 100, ["changes"])
    assert [one.changed for one in brief.timeline] == [99, 99]
    looks = iter([False, True])

    async def second_look() -> bool:
        return next(looks)

    late = await tried([reading("pump", n / 2, t=31.0) for n in range(500)], out_of_time=second_look, **content)
    assert (late.events, late.firing_ns, late.cut) == (199, 99.5 * S, ["time"])


@pytest.mark.parametrize("function", ["mean", "count"])
async def test_windows_are_made_of_readings(function: str) -> None:
    minute = [reading("pump", 60 * n + 7, t=20.0 + n) for n in range(5)]
    run = await tried(minute, kind="window", metric="t", function=function, value=0.5, until=290)
    assert told(run)[0][1:3] == (60, "firing")
    assert run.events == 4  # the last one is not whole


async def test_a_device_that_was_never_heard_of_is_absent() -> None:
    run = await tried([], kind="absence", after="1m")
    assert told(run) == [("pump", 60, "firing", 1, None)]
    assert run.timeline[0].changes[0].no_data


async def test_an_absence_ends_with_the_next_reading() -> None:
    readings = [reading("pump", at, t=1.0) for at in (10, 20, 200, 210)]
    run = await tried(readings, kind="absence", metric="t", until=230)
    assert [(at, what) for _, at, what, _, _ in told(run)] == [(50, "firing"), (200, "resolved")]


async def test_an_alert_ends_with_the_hours_of_its_rule() -> None:
    run = await tried(
        [reading("pump", 30 * n, t=31.0) for n in range(20)],
        metric="t",
        value=30,
        schedule={"times": [{"from": "00:02", "to": "00:05"}]},
    )
    assert [(at, what) for _, at, what, _, _ in told(run)] == [(120, "firing"), (300, "resolved")]
