"""The models that are shipped."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.readings import Value
from simulators.models.library import model, shipped
from simulators.models.model import Int64s

SECOND = 1_000_000_000
NOW = 1_795_000_000 * SECOND
WEEK = 7 * 86_400 * SECOND
TYPES = {"number": float, "boolean": bool, "text": str}
NAMES = [
    "coldchain", "environment", "gateway", "meter", "occupancy", "pump", "solar", "vehicle", "vibration", "water",
]  # fmt: skip
BOUNDS: dict[str, dict[str, tuple[float, float]]] = {
    "coldchain": {"temperature": (0, 9), "product_temperature": (2, 13), "humidity": (75, 100), "battery": (15, 100)},
    "environment": {"temperature": (13, 40), "humidity": (5, 75), "co2": (400, 890), "battery": (20, 100)},
    "gateway": {
        "cpu": (0.5, 99), "memory": (28, 66), "temperature": (37, 65), "rssi": (-92, -48),
        "sent": (0, 1e9), "send_rate": (30, 75),
    },
    "meter": {"voltage": (195, 235), "current": (0, 40), "power": (80, 7000), "energy": (0, 500_000)},
    "occupancy": {"people": (0, 120), "entry_rate": (0, 150), "entries": (0, 5e6), "co2": (400, 3000)},
    "pump": {"pressure": (0.2, 11), "flow": (0, 150), "vibration": (0, 8)},
    "solar": {
        "ac_power": (0, 14_000), "dc_power": (0, 14_600), "dc_voltage": (360, 440), "frequency": (49.9, 50.1),
        "temperature": (15, 90), "energy": (0, 500_000),
    },
    "vehicle": {
        "latitude": (52.3, 52.75), "longitude": (13, 13.8), "heading": (0, 360), "speed": (0, 96),
        "odometer": (0, 3e6), "fuel": (12, 96), "coolant": (66, 121),
    },
    "vibration": {
        "velocity": (0, 14), "acceleration": (0, 2.6), "speed": (0, 1500), "temperature": (22, 50), "wear": (0, 100),
    },
    "water": {
        "flow": (0, 30), "volume": (0, 10_000), "temperature": (7, 16), "pressure": (1.7, 4.6), "battery": (10, 100),
    },
}  # fmt: skip
KNOWN: dict[str, list[Value]] = {
    "coldchain": [4.34, 2.94, 86.1, False, True, 67.0],
    "environment": [21.08, 42.4, 774.0, 46.3],
    "gateway": [18.6, 49.4, 44.8, -74.0, 178388774.0, 50.3, "2.3.1"],
    "meter": [228.8, 9.937, 2165.7, 140036.3209],
    "occupancy": [7.0, 14.3, 420493.0, True, 579.0, "lobby"],
    "pump": [0.72, 0.0, 0.09, False, "idle"],
    "solar": [4395.1, 4546.6, 395.2, 50.009, 32.2, 88270.685, True],
    "vehicle": [52.391244, 13.23409, 235.6, 30.9, 1093585.105, 32.2, 75.7, True],
    "vibration": [1.94, 0.372, 1479.0, 44.3, 31.2, "running"],
    "water": [0.17, 1972.0783, 9.2, 4.03, 19.5, "open"],
}
seeds = st.integers(-(2**63), 2**63)
questions = st.lists(st.tuples(st.integers(0, 100_000), st.integers(NOW, NOW + WEEK)), min_size=1, max_size=30)


def columns(of: str, seed: int, asked: list[tuple[int, int]]) -> dict[str, list[Value]]:
    devices, ts = (np.array([one[side] for one in asked], dtype=np.int64) for side in (0, 1))
    return model(of).values(seed, devices, ts)


def grid(devices: int, times: Int64s) -> tuple[Int64s, Int64s]:
    return np.repeat(np.arange(devices), len(times)), np.tile(times, devices)


def test_ten_models_are_shipped_and_their_files_are_named_for_them() -> None:
    assert shipped() == NAMES
    assert [model(name).name for name in NAMES] == NAMES
    assert len({model(name).prefix for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_values_are_plausible_for_a_week_and_of_the_type_that_is_said(name: str) -> None:
    kind = model(name)
    devices, ts = grid(12, NOW + np.arange(0, WEEK, 607 * SECOND))
    found = kind.values(3, devices, ts)
    assert list(found) == list(kind.metrics)
    for metric, values in found.items():
        assert {type(value) for value in values} == {TYPES[kind.metrics[metric].type]}
        if kind.metrics[metric].type == "number":
            low, high = BOUNDS[name][metric]
            assert low <= min(map(float, values)), metric
            assert max(map(float, values)) <= high, metric
            assert len(set(values)) > 10, metric


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15)
@given(seed=seeds, asked=questions)
def test_a_value_depends_on_seed_device_and_time_alone(name: str, seed: int, asked: list[tuple[int, int]]) -> None:
    together = columns(name, seed, asked)
    backwards = columns(name, seed, asked[::-1])
    alone = [columns(name, seed, [one]) for one in asked]
    for metric, values in together.items():
        assert values == backwards[metric][::-1]
        assert values == [one[metric][0] for one in alone]


def test_another_process_gives_the_same_values() -> None:
    code = (
        "import json, numpy; from simulators.models.library import model, shipped;"
        f"print(json.dumps([model(n).values(7, numpy.arange(50), {NOW} + numpy.arange(50)) for n in shipped()]))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    here = [model(name).values(7, np.arange(50), NOW + np.arange(50)) for name in NAMES]
    assert json.loads(answer.stdout) == here


def test_known_values_of_a_seed_stay_as_they_are() -> None:
    assert {name: [value for (value,) in columns(name, 1, [(2, NOW)]).values()] for name in NAMES} == KNOWN


def test_another_seed_measures_something_else() -> None:
    for name in NAMES:
        assert columns(name, 1, [(1, NOW), (2, NOW)]) != columns(name, 2, [(1, NOW), (2, NOW)])


@given(seed=seeds, start=st.integers(NOW, NOW + WEEK))
@settings(max_examples=30)
def test_any_twenty_seconds_of_sixteen_pumps_hold_several_whole_overpressures(seed: int, start: int) -> None:
    for devices in (np.arange(16), 2 + 3 * np.arange(16), 5 + 10 * np.arange(16)):
        found = model("pump").events(seed, devices, start, start + 20 * SECOND)
        assert 3 <= len(found) <= 9


def test_pressure_is_above_9_bar_in_overpressures_alone_and_else_below_7() -> None:
    pump, devices = model("pump"), np.arange(16)
    whole = pump.events(1, devices, NOW - 60 * SECOND, NOW + 260 * SECOND)
    rows, ts = grid(16, NOW + np.arange(0, 200 * SECOND, SECOND // 10))
    found = pump.values(1, rows, ts)
    inside = np.zeros(len(ts), dtype=bool)
    for event in whole:
        inside |= (rows == event.device) & (ts > event.start) & (ts < event.end)
    pressure = np.array(found["pressure"])
    assert pressure[~inside].max() < 7
    assert 0.82 < (pressure[inside] > 9).mean() < 0.95
    assert {found["state"][row] for row in np.nonzero(inside)[0]} == {"fault"}
    assert {found["state"][row] for row in np.nonzero(~inside)[0]} == {"idle", "run"}
    assert [found["running"][row] for row in range(len(ts))] == [state != "idle" for state in found["state"]]
