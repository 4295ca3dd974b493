"""What the simulated devices measure."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.excursions import EVERY, LENGTH, SECOND, SLOT
from simulators.fleet import INSTALLED, METRICS, PREFIXES, Device, Kind, excursions, fleet, values
from simulators.payloads import FAULTS, broken, encode_values, fault, payload

NOW = 1_795_000_000 * SECOND
BOUNDS: dict[str, tuple[float, float]] = {
    "temperature": (8, 35),
    "humidity": (15, 85),
    "co2": (380, 1200),
    "battery": (15, 100),
    "voltage": (220, 240),
    "current": (0, 30),
    "power": (20, 6000),
    "energy": (0, 2_000_000),
    "pressure": (0.3, 11.5),
    "flow": (0, 170),
    "vibration": (0, 10),
}
KNOWN = [
    b'{"temperature":23.68,"humidity":43.8,"co2":718.0,"battery":51.6}',
    b'{"voltage":229.2,"current":14.469,"power":3150.6,"energy":161543.8765}',
    b'{"pressure":3.68,"flow":84.8,"vibration":1.88,"running":true,"state":"run"}',
]
seeds = st.integers(min_value=-(2**63), max_value=2**63)
times = st.integers(min_value=INSTALLED, max_value=INSTALLED + 60 * 365 * 86_400 * SECOND)


def test_ids_say_the_kind_and_count_within_it() -> None:
    assert [device.id for device in fleet(1, 5)] == ["env-001", "meter-001", "pump-001", "env-002", "meter-002"]
    assert [device.id for device in fleet(1, 2, first=3000)] == ["env-1001", "meter-1001"]
    assert set(PREFIXES) == set(METRICS)


@given(seed=seeds, index=st.integers(0, 10_000), ts=times)
def test_values_are_plausible_at_any_time(seed: int, index: int, ts: int) -> None:
    device = Device(seed, index)
    found = values(device, ts)
    assert tuple(found) == METRICS[device.kind]
    for metric, value in found.items():
        if metric in BOUNDS:
            low, high = BOUNDS[metric]
            assert isinstance(value, float)
            assert low <= value <= high, metric
    if device.kind == "pump":
        assert found["state"] in {"idle", "run", "fault"}
        assert found["running"] is (found["state"] != "idle")


@given(seed=seeds, index=st.integers(0, 10_000), ts=times, malformed=st.floats(0, 1))
def test_the_same_seed_sends_the_same_bytes(seed: int, index: int, ts: int, malformed: float) -> None:
    def message() -> bytes:
        kind = fault(seed, index, 7, malformed)
        return broken(kind, ts) if kind else payload(ts, encode_values(values(Device(seed, index), ts)))

    assert message() == message()


def test_known_values_of_a_seed_stay_as_they_are() -> None:
    assert [encode_values(values(device, NOW)) for device in fleet(1, 3)] == KNOWN


def test_another_seed_measures_something_else() -> None:
    assert [values(d, NOW) for d in fleet(1, 3)] != [values(d, NOW) for d in fleet(2, 3)]


@given(seed=seeds, ts=times)
def test_the_energy_counter_never_runs_back(seed: int, ts: int) -> None:
    meter = Device(seed, 1)
    counter = [float(values(meter, ts + minute * 60 * SECOND)["energy"]) for minute in range(30)]
    assert all(a < b for a, b in itertools.pairwise(counter))


@given(seed=seeds, start=times)
def test_any_twenty_seconds_of_fifty_devices_hold_several_whole_excursions(seed: int, start: int) -> None:
    assert len(excursions(fleet(seed, 50), start, start + 20 * SECOND)) >= 3


@settings(max_examples=30)
@given(seed=seeds, start=times)
def test_an_excursion_is_well_above_8_bar_for_some_5_s_and_ends_below_7(seed: int, start: int) -> None:
    members = {device.index: device for device in fleet(seed, 50)}
    for found in excursions(list(members.values()), start, start + 20 * SECOND):
        pump = members[found.index]

        def pressure(at: int, pump: Device = pump) -> float:
            return float(values(pump, at)["pressure"])

        assert pressure(found.start - 1) < 7
        assert pressure(found.end + 1) < 7
        above = [pressure(at) > 8 for at in range(found.start, found.end, SECOND // 20)]
        assert 4.8 < sum(above) / 20 < LENGTH / SECOND
        assert pressure((found.start + found.end) // 2) > 9
        assert values(pump, (found.start + found.end) // 2)["state"] == "fault"


def test_a_pump_has_one_excursion_in_every_fourth_slot() -> None:
    pump = [device for device in fleet(1, 50) if device.kind == "pump"][:1]
    assert len(excursions(pump, NOW // SLOT * SLOT, NOW // SLOT * SLOT + 40 * EVERY * SLOT)) == 40


def test_outside_excursions_no_pump_is_above_7_bar() -> None:
    members = [device for device in fleet(3, 50) if device.kind == "pump"]
    whole = excursions(members, NOW - SLOT, NOW + 220 * SECOND)
    for pump in members:
        for second in range(200):
            at = NOW + second * SECOND
            inside = any(e.index == pump.index and e.start <= at <= e.end for e in whole)
            assert inside or float(values(pump, at)["pressure"]) < 7


def test_faults_come_in_every_kind_and_in_their_share() -> None:
    found = [fault(1, index, number, 0.1) for index in range(50) for number in range(200)]
    assert set(found) == {"", *FAULTS}
    assert 0.09 < sum(map(bool, found)) / len(found) < 0.11
    assert not any(fault(1, 0, number, 0.0) for number in range(1000))
    assert all(fault(1, 0, number, 1.0) for number in range(1000))


def test_no_two_malformed_messages_are_alike() -> None:
    bodies = [broken(kind, NOW + n) for kind in FAULTS for n in range(100)]
    assert len(set(bodies)) == len(bodies)


def test_kinds_take_turns() -> None:
    kinds: list[Kind] = [device.kind for device in fleet(1, 6)]
    assert kinds == ["environment", "meter", "pump"] * 2
