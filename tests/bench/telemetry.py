"""Batches as ingest would publish them, made before anything is measured. Pure.

A scenario says which devices there are and how often each of them speaks. Values change like a measured quantity, with
one decimal. Everything is the same in each run.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random

from contracts.readings import READING_BATCH, Reading, ReadingBatch
from contracts.streams import partition_of

SECOND = 1_000_000_000
START = 1_767_571_200 * SECOND
"""A midnight in UTC, from which on the devices speak."""

BATCH_READINGS = 500
"""Most readings of one batch, as ingest has it."""

METRIC = "metric-"
"""What the names of metrics begin with; a number from 0 on follows."""

OLD_S = 90 * 86_400
"""How far back a backfill goes: three months."""


@dataclass(frozen=True)
class Scenario:
    """`devices` of `metrics` each, which speak every `period_s` seconds.

    `late` is the part of the readings that come up to two minutes late, `repeated` that of those that come twice.
    `backfill` readings of one more device, one a minute and old, come mixed among the others.
    """

    devices: int
    metrics: int = 5
    period_s: int = 1
    late: float = 0.0
    repeated: float = 0.0
    backfill: int = 0

    @property
    def series(self) -> int:
        """How many series it has."""
        return (self.devices + bool(self.backfill)) * self.metrics


SCENARIOS = {
    "in order": Scenario(1_000),
    "wide": Scenario(20_000, period_s=10),
    "late and repeated": Scenario(1_000, late=0.02, repeated=0.02),
    "beside a backfill": Scenario(1_000, backfill=25_000),
}


@dataclass(frozen=True)
class Batch:
    """One batch for the stream, encoded."""

    partition: int
    body: bytes
    points: int


def batches(scenario: Scenario, points: int, partitions: int) -> tuple[list[Batch], int]:
    """Make batches of about `points` points; gives them, and how many distinct points they hold."""
    made: list[Batch] = []
    waiting: list[list[Reading]] = [[] for _ in range(partitions)]
    seen: set[tuple[str, int]] = set()
    for reading in arriving(scenario, points // scenario.metrics):
        seen.add((reading.device, reading.ts))
        partition = partition_of(reading.device, partitions)
        waiting[partition].append(reading)
        if len(waiting[partition]) == BATCH_READINGS:
            made.append(encoded(partition, waiting[partition]))
            waiting[partition] = []
    made += [encoded(partition, readings) for partition, readings in enumerate(waiting) if readings]
    return made, len(seen) * scenario.metrics


def encoded(partition: int, readings: list[Reading]) -> Batch:
    """Encode one batch."""
    body = READING_BATCH.encode(ReadingBatch(1, partition, readings))
    return Batch(partition, body, sum(len(reading.values) for reading in readings))


def arriving(scenario: Scenario, count: int) -> Iterator[Reading]:
    """Give `count` readings in the order of their arrival, and those that come again besides."""
    rng = Random(scenario.devices)
    live = count - scenario.backfill
    every = live // scenario.backfill if scenario.backfill else 0
    past = old("backfilled", scenario.metrics, scenario.backfill)
    for number in range(live):
        turn, device = divmod(number, scenario.devices)
        now = START + (turn * scenario.period_s * SECOND) + device * SECOND // scenario.devices
        ts = now - rng.randrange(120) * SECOND if rng.random() < scenario.late else now
        reading = Reading(f"device-{device}", ts, now + SECOND // 100, values(scenario.metrics, turn, device))
        yield reading
        if rng.random() < scenario.repeated:
            yield reading
        if every and number % every == 0:
            yield from islice(past, 1)
    yield from past


def old(device: str, metrics: int, count: int, end: int = START) -> Iterator[Reading]:
    """Give `count` readings of a device, one a minute, that begin three months before `end`."""
    first = end - OLD_S * SECOND
    for number in range(count):
        yield Reading(device, first + number * 60 * SECOND, end, values(metrics, number, 0))


def values(metrics: int, turn: int, device: int) -> dict[str, float | bool | str]:
    """Make the values of one reading."""
    return {f"{METRIC}{metric}": 20 + (turn * 7 + device * 3 + metric * 11) % 97 / 10 for metric in range(metrics)}
