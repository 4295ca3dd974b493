"""What a reading costs alerting, by how many rules apply to its device and how many do not.

alerting runs with its rules on a core of its own and first has nothing to do for a while: what it spends then is taken
off. Then readings of now are published, as fast as the stream takes them and in batches as ingest makes them, and the
measure is taken until all are acknowledged, which is after what they came to is in the database. That every rule has
looked at every reading that it should is read from alerting's metrics.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from contracts.devices import DeviceRecord
from contracts.readings import Reading
from contracts.streams import partition_of
from tests.bench.processor import PARTITIONS
from tests.bench.telemetry import BATCH_READINGS, METRIC, SECOND, Batch, encoded, values
from tests.bench.watching import Alerting, Site, publish, register, site, waiting

DEVICES = 5_000
METRICS = 3
IDLE_S = 3.0
PROFILE = "pump"


@dataclass(frozen=True)
class Case:
    """So many rules that apply to every device, and so many that apply to none; `mark` is the most µs a reading."""

    applying: int
    others: int = 0
    mark: float | None = None

    @property
    def name(self) -> str:
        """Say it."""
        return f"{self.applying} that apply" + (f", {self.others:,} that do not" if self.others else "")


CASES = (Case(0, mark=3.0), Case(1, mark=12.0), Case(10), Case(0, 1_000), Case(1, 1_000))


def rules(case: Case) -> Iterator[dict[str, Any]]:
    """Make rules; those that apply look at one metric each, which never comes to their threshold."""
    for number in range(case.applying):
        metric = f"{METRIC}{number % METRICS}"
        yield {"name": f"applies {number}", "metric": metric, "value": 1_000, "selector": {"profile": PROFILE}}
    choices: tuple[Callable[[int], dict[str, object]], ...] = (
        lambda number: {"profile": f"other-{number % 50}"},
        lambda number: {"tags": {"site": f"other-{number % 100}"}},
        lambda number: {"devices": [f"other-{number}"]},
        lambda number: {"groups": [f"other-{number % 200}"]},
    )
    for number in range(case.others):
        selector = choices[number % len(choices)](number)
        yield {"name": f"other {number}", "metric": f"{METRIC}{number % METRICS}", "value": 1_000, "selector": selector}


def records() -> list[DeviceRecord]:
    """Make the records of all devices."""
    return [
        DeviceRecord(1, f"device-{number}", enabled=True, profile=PROFILE, tags={"site": f"site-{number % 50}"})
        for number in range(DEVICES)
    ]


def fresh(count: int, devices: int, end: int) -> list[Batch]:
    """Make readings of `devices` in turn, each once a second, whose times end at `end`."""
    made: list[Batch] = []
    waits: list[list[Reading]] = [[] for _ in range(PARTITIONS)]
    for number in range(count):
        turn, device = divmod(number, devices)
        ts = end - (count - number) * SECOND // devices
        reading = Reading(f"device-{device}", ts, ts, values(METRICS, turn, device))
        partition = partition_of(reading.device, PARTITIONS)
        waits[partition].append(reading)
        if len(waits[partition]) == BATCH_READINGS:
            made.append(encoded(partition, waits[partition]))
            waits[partition] = []
    return made + [encoded(partition, readings) for partition, readings in enumerate(waits) if readings]


async def idle(alerting: Alerting) -> float:
    """Give what alerting spends while nothing comes, in s of CPU a s."""
    before, began = alerting.cpu_s(), time.monotonic()
    await asyncio.sleep(IDLE_S)
    return (alerting.cpu_s() - before) / (time.monotonic() - began)


async def once(at: Site, case: Case, readings: int) -> dict[str, float]:
    """Take the measure of a case."""
    async with at.stream() as link:
        await register(link, records())
        await at.put(rules(case))
        async with at.alerting() as alerting:
            await alerting.until(alerting.ready, "alerting is ready")
            resting = await idle(alerting)
            made = fresh(readings, DEVICES, time.time_ns())  # noqa: TID251 - readings of now
            before, began = alerting.cpu_s(), time.monotonic()
            await publish(link, made)

            async def acknowledged() -> bool:
                return not await waiting(link)

            await alerting.until(acknowledged, "all is acknowledged")
            took, used = time.monotonic() - began, alerting.cpu_s() - before
            taken = await alerting.metric("alerting_readings_total")
            evaluated = await alerting.metric("alerting_evaluated_total")
            rss = alerting.process.memory_info().rss
    if (taken, evaluated) != (readings, readings * case.applying):
        raise RuntimeError(f"of {readings} readings {taken:.0f} were taken, and evaluated {evaluated:.0f} times")
    return {
        "us": (used - resting * took) / readings * 1e6,
        "idle_ms_per_s": resting * 1e3,
        "seconds": took,
        "readings_per_s": readings / took,
        "rss_mib": rss / (1 << 20),
    }


def judging(readings: int, rounds: int) -> list[dict[str, object]]:
    """Measure all cases in turn, as often as `rounds` says; prints a table, and gives the medians."""
    print(f"  CPU µs a reading ({readings} readings of {METRICS} metrics, {DEVICES} devices)", flush=True)
    found: dict[Case, list[dict[str, float]]] = {case: [] for case in CASES}
    for number in range(rounds):
        for case in CASES:
            with tempfile.TemporaryDirectory(prefix="sensorium-bench-") as directory, site(Path(directory)) as at:
                found[case].append(asyncio.run(once(at, case, readings)))
            print(f"    round {number + 1}: {case.name:<36}{found[case][-1]['us']:8.2f}", flush=True)
    print(f"  {'rules, medians':<40}{'µs':>8}{'mark':>8}{'idle ms/s':>12}{'seconds':>10}{'RSS MiB':>10}")
    told: list[dict[str, object]] = []
    for case, all_of in found.items():
        middle = {key: round(median(one[key] for one in all_of), 2) for key in all_of[0]}
        mark = "" if case.mark is None else f"<= {case.mark:g}"
        print(
            f"  {case.name:<40}{middle['us']:8.2f}{mark:>8}{middle['idle_ms_per_s']:12.1f}{middle['seconds']:10.1f}"
            f"{middle['rss_mib']:10.0f}"
        )
        told.append({"applying": case.applying, "others": case.others, "mark_us": case.mark, **middle})
    return told
