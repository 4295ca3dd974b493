"""What one call of a judge costs, for each kind of rule: CPU µs, the best of several rounds.

`python -m tests.bench.judges`
"""

import random
import time
from collections.abc import Callable
from typing import Any

from alerting.judges.build import build
from alerting.judges.verdict import Device
from alerting.judges.window import Joined
from alerting.rules.spec import parse_spec
from contracts.derived import Window
from contracts.devices import DeviceRecord
from contracts.readings import Value
from contracts.timeseries import MINUTE

CALLS, ROUNDS = 20_000, 5
SECOND = 1_000_000_000
DEVICE = Device("pump-7", DeviceRecord(1, "pump-7", True, "pump", {"site": "north"}, ["hall 2", "works"]))  # noqa: FBT003

KINDS: dict[str, dict[str, Any]] = {
    "threshold": {"kind": "threshold", "metric": "t", "value": 30},
    "rate, two that follow": {"kind": "rate", "metric": "t", "value": 5},
    "rate over 10m, a counter": {"kind": "rate", "metric": "t", "value": 5, "over": "10m", "counter": True},
    "repeating 3 of 5, all good": {"kind": "repeating", "metric": "t", "value": 300, "times": 3, "of": 5},
    "repeating 3 of 5, many bad": {"kind": "repeating", "metric": "t", "value": 20, "times": 3, "of": 5},
    "repeating 500 of 1000": {"kind": "repeating", "metric": "t", "value": 20, "times": 500, "of": 1000},
    "deviation": {"kind": "deviation", "metric": "t", "value": 4},
    "condition of one metric": {"kind": "condition", "condition": "t > 30"},
    "condition of two": {"kind": "condition", "condition": 't > 30 && mode == "on"'},
    "condition with hold": {"kind": "condition", "condition": 't > 30 && mode == "on"', "hold": "t > 25"},
    "condition with rate": {"kind": "condition", "condition": "rate(litres) > 1 && t > 30"},
    "condition with attributes": {
        "kind": "condition",
        "condition": 't > 30 && tags.site == "north" && "works" in groups',
    },
    "window, one": {"kind": "window", "metric": "t", "function": "mean", "value": 30},
    "window, mean of 5": {"kind": "window", "metric": "t", "function": "mean", "value": 30, "over": "5m"},
    "window, mean of 60": {"kind": "window", "metric": "t", "function": "mean", "value": 30, "over": "1h"},
    "window, stddev of 120": {"kind": "window", "metric": "t", "function": "stddev", "value": 30, "over": "2h"},
}


def measured(call: Callable[[int], object], calls: int) -> float:
    """Give µs a call."""
    at, best = 0, float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(calls):
            at += 1
            call(at)
        best = min(best, (time.process_time() - began) / calls)
    return best * 1e6


def caller(content: dict[str, Any], values: list[float]) -> Callable[[int], object]:
    """Give what has the rule judge the value of a number."""
    judge = build("r", 1, parse_spec({"name": "r", **content})).judge
    assert judge is not None
    memory: Any = None if judge.memory is None else judge.memory()
    if isinstance(judge, Joined):
        windows = [
            Window("pump-7", "pump", "t", "1m", n * MINUTE, (n + 1) * MINUTE, 6, v, 6 * v, 1.0, v, v, v)
            for n, v in enumerate(values)
        ]
        return lambda n: judge.judge_window(windows[n], memory)
    last: dict[str, tuple[int, Value]] = {"mode": (0, "on")}

    def call(number: int) -> object:
        at, value = number * 10 * SECOND, values[number]
        last["t"] = (at, value)
        last["litres"] = (at, float(number))
        return judge.judge(at, value, last, memory, DEVICE)  # type: ignore[union-attr]  # not one of windows

    return call


def main() -> None:
    """Measure and print."""
    noise = random.Random(1)
    values = [noise.gauss(20, 2) for _ in range(CALLS * ROUNDS + 1)]
    for name, content in KINDS.items():
        calls = CALLS // 10 if content["kind"] == "window" else CALLS
        print(f"{name:30} {measured(caller(content, values), calls):7.2f} µs")


if __name__ == "__main__":
    main()
