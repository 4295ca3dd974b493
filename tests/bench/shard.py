"""What a reading costs evaluation alone, and how 10,000 rules over 100,000 devices load: `python -m tests.bench.shard`.

Readings have one metric and come from 5,000 devices in turn. Rules that do not apply ask for tags that no device has.
The time is the CPU's, of the best of several rounds; encoding rows, which a checkpoint does once for each device that
has sent anything since the last, is measured apart. Prints one JSON object.
"""

import json
import resource
import time
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

from alerting.evaluation.shard import Shard
from alerting.judges.build import build
from alerting.rules.describing import describe
from alerting.rules.rule import Rule
from alerting.rules.spec import parse_spec
from contracts.devices import DeviceRecord
from contracts.readings import Reading

SECOND = 1_000_000_000
T0 = 1_772_000_000 * SECOND
DEVICES, ROUNDS = 5_000, 20
MANY_DEVICES, MANY_RULES = 100_000, 10_000


def made(records: Mapping[str, DeviceRecord]) -> Shard:
    """Give a partition of all these devices."""
    ids = count(1)
    return Shard(0, records.get, 600 * SECOND, lambda: f"a{next(ids)}", describe, devices=lambda: records)


def threshold(number: int, **content: Any) -> Rule:  # noqa: ANN401 - a rule as JSON has it
    """Build a rule that no value here breaches."""
    content = {"name": f"rule {number}", "metric": "temperature", "value": 50.0} | content
    return build(f"r{number}", 1, parse_spec(content))


def reading_cost(rules: Iterable[Rule]) -> dict[str, float]:
    """Measure microseconds of CPU for a reading, and for a device's row."""
    records = {f"d{number}": DeviceRecord(1, f"d{number}", True, "default") for number in range(DEVICES)}  # noqa: FBT003 - enabled
    shard = made(records)
    shard.restore(rules, [], [], T0)
    best = row = 1e9
    for turn in range(ROUNDS):
        at = T0 + turn * SECOND
        readings = [Reading(device, at, at, {"temperature": 20.0 + turn}) for device in records]
        began = time.process_time()
        for reading in readings:
            shard.take(reading, at)
        taken = time.process_time()
        shard.take_all()
        if turn:  # the first round is that in which the devices are met
            best = min(best, taken - began)
            row = min(row, time.process_time() - taken)
    return {"take_us": round(best / DEVICES * 1e6, 2), "row_us": round(row / DEVICES * 1e6, 2)}


def many_rules() -> list[Rule]:
    """Build rules of several kinds and selectors; about ten look at each device."""
    selectors: list[dict[str, Any]] = []
    for number in range(MANY_RULES):
        of_ids = [f"device-{(number * 7 + other) % MANY_DEVICES:06}" for other in range(10)]
        by_site: dict[str, Any] = {"tags": {"site": f"site-{number % 2000}"}}
        selectors.append({8: {"groups": [f"g{number % 500}"]}, 9: {"devices": of_ids}}.get(number % 10, by_site))
    kinds: dict[int, dict[str, Any]] = {
        5: {"kind": "condition", "condition": "m1 > 5.0 && m2 < 3.0"},
        6: {"kind": "deviation", "metric": "m6", "value": 4.0},
        7: {"kind": "absence", "intervals": 5},
    }
    usual = {"metric": "temperature", "value": 50.0, "for": "30s"}
    contents = [
        {"name": f"rule {number}", "selector": selector} | kinds.get(number % 10, usual | {"metric": f"m{number % 10}"})
        for number, selector in enumerate(selectors)
    ]
    return [build(f"r{number}", 1, parse_spec(content)) for number, content in enumerate(contents)]


def load_cost() -> dict[str, float]:
    """Measure seconds for loading everything into one partition, and the memory of the process, in MB."""
    records = {
        f"device-{number:06}": DeviceRecord(
            1,
            f"device-{number:06}",
            enabled=True,
            profile=f"profile-{number % 50}",
            tags={"site": f"site-{number % 2000}", "model": f"m{number % 20}"},
            groups=[f"g{number % 500}", f"top{number % 10}"],
            interval=60.0,
        )
        for number in range(MANY_DEVICES)
    }
    began = time.perf_counter()
    rules = many_rules()
    built = time.perf_counter()
    shard = made(records)
    shard.restore(rules, [], [], T0)
    empty = time.perf_counter()
    values = {f"m{number}": 20.0 for number in range(7)}
    for device in records:
        shard.take(Reading(device, T0, T0, dict(values)), T0)
    met = time.perf_counter()
    rows = shard.take_all().devices
    again = time.perf_counter()
    shard = made(records)
    shard.restore(rules, rows.items(), [], T0 + SECOND)
    restored = time.perf_counter()
    for rule in rules:
        shard.put(rule, T0 + SECOND)
    shard.tick(T0 + SECOND, T0 + SECOND)
    put = time.perf_counter()
    return {
        "build_s": round(built - began, 2),
        "restore_without_rows_s": round(empty - built, 2),
        "first_reading_us": round((met - empty) / MANY_DEVICES * 1e6, 1),
        "restore_s": round(restored - again, 2),
        "put_all_s": round(put - restored, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    """Measure, and print what came of it."""
    others = [threshold(number, selector={"tags": {"site": f"site-{number}"}}) for number in range(10, 1_010)]
    result = {
        "no_rule": reading_cost([]),
        "1000_that_do_not_apply": reading_cost(others),
        "one_that_applies": reading_cost([threshold(0)]),
        "one_that_applies_and_1000_that_do_not": reading_cost([threshold(0), *others]),
        "ten_that_apply": reading_cost([threshold(number) for number in range(10)]),
        "load": load_cost(),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
