"""What metrics of a model promise, one kind after another."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulators.models.declared import DeclaredModel
from simulators.models.library import model, shipped
from simulators.models.model import Int64s, Model
from simulators.models.reading import read_spec
from simulators.models.spec import Counter, ModelSpec

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
MONDAY = 1_794_787_200 * SECOND  # 2026-11-16
FOLDER = Path(__file__).parents[3] / "simulators" / "models"


def spec(name: str) -> ModelSpec:
    return read_spec((FOLDER / f"{name}.toml").read_text(), name)


COUNTERS = [(name, metric) for name in shipped() for metric, one in spec(name).metrics.items() if one.kind == "counter"]


def over(kind: Model, metric: str, ts: Int64s, device: int = 1, seed: int = 1) -> NDArray[np.float64]:
    return np.array(kind.values(seed, np.full(len(ts), device), ts)[metric])


def made(text: str) -> DeclaredModel:
    return DeclaredModel(read_spec(f'name = "made"\nprefix = "made"\n{text}', "made.toml"))


@pytest.mark.parametrize(("name", "metric"), COUNTERS)
@settings(max_examples=20)
@given(
    seed=st.integers(0, 2**64),
    device=st.integers(0, 10**6),
    start=st.integers(0, 400 * DAY),
    steps=st.lists(st.integers(1, 3 * HOUR) | st.integers(1, SECOND), min_size=1, max_size=200),
)
def test_counters_never_fall(name: str, metric: str, seed: int, device: int, start: int, steps: list[int]) -> None:
    ts = MONDAY + start + np.cumsum(steps)
    assert np.all(np.diff(over(model(name), metric, ts, device, seed)) >= 0)


@pytest.mark.parametrize(("name", "metric"), COUNTERS)
def test_counters_count_what_their_rate_says(name: str, metric: str) -> None:
    declared = spec(name)
    counter = declared.metrics[metric]
    assert isinstance(counter, Counter)
    kind = DeclaredModel(declared.model_copy(update={"events": {}}))
    ts = MONDAY + np.arange(0, DAY + 1, 5 * SECOND)
    rate, counted = over(kind, counter.of, ts), over(kind, metric, ts)
    summed = rate[:-1].sum() * 5 * SECOND / counter.per * counter.factor
    assert counted[-1] - counted[0] == pytest.approx(summed, rel=0.01)


def test_a_day_and_a_week_have_the_factors_that_are_declared() -> None:
    kind = made("""
        [metrics.rate]
        kind = "curve"
        base = 10
        day = [0, 0, 0, 0, 0, 0, 1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 2, 1, 0, 0, 0, 0]
        week = [1, 1, 1, 1, 1, 0.5, 0]
    """)
    at = {
        hour: over(kind, "rate", np.array([MONDAY + day * DAY + int(hour * HOUR)]))[0]
        for day, hour in [(1, 12), (1, 6.5), (1, 3)]
    }
    assert at == {12: 30, 6.5: 15, 3: 0}
    assert over(kind, "rate", np.array([MONDAY + 5 * DAY + 12 * HOUR, MONDAY + 6 * DAY + 12 * HOUR])).tolist() == [
        15,
        0,
    ]


def test_a_swing_is_highest_at_its_peak() -> None:
    kind = made('[metrics.t]\nkind = "curve"\nbase = -5\nswing = 4\npeak = 14\n')
    hourly = over(kind, "t", MONDAY + np.arange(24) * HOUR)
    assert int(hourly.argmax()) == 14
    assert hourly.max() == -1
    assert hourly.min() == -9


@pytest.mark.parametrize(
    ("name", "metric", "other", "sign"),
    [
        ("environment", "humidity", "temperature", -1),
        ("meter", "voltage", "power", -1),
        ("meter", "current", "power", 1),
        ("solar", "temperature", "ac_power", 1),
        ("coldchain", "humidity", "temperature", 1),
        ("occupancy", "co2", "people", 1),
        ("water", "pressure", "flow", -1),
    ],
)
def test_metrics_are_correlated_as_declared(name: str, metric: str, other: str, sign: int) -> None:
    found = model(name).values(1, np.full(3000, 4), MONDAY + np.arange(3000) * 97 * SECOND)
    assert sign * np.corrcoef(np.array(found[metric]), np.array(found[other]))[0, 1] > 0.2


def test_current_is_power_over_voltage_as_they_are_published() -> None:
    found = {m: np.array(v) for m, v in model("meter").values(1, np.arange(500), np.full(500, MONDAY)).items()}
    assert np.all(np.abs(found["current"] - 1.05 * found["power"] / found["voltage"]) < 0.01)


def test_noise_and_drift_are_as_large_as_declared() -> None:
    noisy = made('[metrics.t]\nkind = "curve"\nbase = 20\nnoise = 0.5\n')
    drifting = made('[metrics.t]\nkind = "curve"\nbase = 20\ndecimals = 4\ndrift = { size = 2, period = "1h" }\n')
    ts = MONDAY + np.arange(20_000) * 10 * SECOND
    assert over(noisy, "t", ts).std() == pytest.approx(0.5, rel=0.03)
    drifted = over(drifting, "t", ts)
    assert 18 <= drifted.min() < 18.5
    assert 21.5 < drifted.max() <= 22
    assert np.abs(np.diff(drifted)).max() < 4 * 1.5 * 10 / 3600 + 1e-4


def test_states_follow_their_steps_and_last_as_declared() -> None:
    ts = MONDAY + np.arange(2 * DAY // SECOND) * SECOND
    states = model("vibration").values(1, np.full(len(ts), 3), ts)["state"]
    runs = [(state, len(list(group))) for state, group in itertools.groupby(states)]
    assert {(a[0], b[0]) for a, b in itertools.pairwise(runs)} == {
        ("off", "starting"),
        ("starting", "running"),
        ("running", "off"),
    }
    inner = runs[1:-1]
    assert all(9 <= length <= 31 for state, length in inner if state == "starting")
    assert all(1200 - 271 <= length <= 1200 - 69 for state, length in inner if state == "running")
    off = [length for state, length in inner if state == "off"]
    assert all(length % 1200 <= 241 and length % 1200 >= 59 for length in off)  # whole cycles, and then its step
    assert max(off) > 1200


def test_a_state_changes_what_depends_on_it() -> None:
    found = model("pump").values(1, np.arange(2000), np.full(2000, MONDAY))
    state, flow = np.array(found["state"]), np.array(found["flow"])
    assert set(flow[state == "idle"]) == {0.0}
    assert flow[state == "run"].min() > 70


def test_a_decay_goes_down_and_begins_anew() -> None:
    level = over(model("environment"), "battery", MONDAY + np.arange(500) * DAY)
    steps = np.diff(level)
    assert (steps > 0).sum() == 1
    assert np.all((steps < 0) | (steps > 60))


def test_a_vehicle_goes_as_far_as_its_speed_says_along_a_closed_way() -> None:
    ts = MONDAY + 10 * HOUR + np.arange(7200) * SECOND
    found = {m: np.array(v) for m, v in model("vehicle").values(1, np.full(7200, 3), ts).items()}
    east = np.diff(found["longitude"]) * 111.32 * math.cos(math.radians(52.52))
    north = np.diff(found["latitude"]) * 111.32
    gone = np.hypot(east, north)
    assert gone.sum() == pytest.approx(found["odometer"][-1] - found["odometer"][0], rel=0.02)
    assert np.median(np.abs(gone * 3600 - found["speed"][:-1])) < 0.5
    straight = gone > 0.005
    headed = np.degrees(np.arctan2(east, north)) % 360
    off = np.abs((headed - found["heading"][:-1] + 180) % 360 - 180)[straight]
    assert np.median(off) < 1
    assert len(set(found["heading"].tolist())) == 10
    assert found["odometer"][-1] - found["odometer"][0] > 40  # more than once around


def test_booleans_are_what_the_published_number_says() -> None:
    found = model("coldchain").values(1, np.full(5000, 1), MONDAY + np.arange(5000) * 11 * SECOND)
    assert found["compressor"] == [float(value) > 3.5 for value in found["temperature"]]
    assert {True, False} == set(found["compressor"])


def test_a_text_is_each_devices_own_and_changes_when_it_is_due() -> None:
    ts = MONDAY + np.arange(60) * DAY
    firmware = model("gateway").values(1, np.full(60, 1), ts)["firmware"]
    assert 1 < sum(a != b for a, b in itertools.pairwise(firmware)) < 9
    room = model("occupancy").values(1, np.repeat(np.arange(30), 60), np.tile(ts, 30))["room"]
    assert all(len(set(room[n * 60 : n * 60 + 60])) == 1 for n in range(30))
    assert len(set(room)) == 4


def test_a_metric_keeps_its_values_when_others_are_added() -> None:
    one = '[metrics.t]\nkind = "curve"\nbase = [1, 5]\nnoise = 1\n'
    other = '[metrics.a]\nkind = "curve"\nbase = [1, 5]\nnoise = 1\n'
    ts = MONDAY + np.arange(50) * SECOND
    assert over(made(one), "t", ts).tolist() == over(made(other + one), "t", ts).tolist()
