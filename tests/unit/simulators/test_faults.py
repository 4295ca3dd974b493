"""Which readings and connections faults hit, and when."""

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from pydantic import ValidationError

from simulators.faults.inject import FAULTS, Faults
from simulators.faults.injector import Act
from simulators.faults.target import Target
from simulators.formats.json import Json
from simulators.plan.batch import DUP, RETAIN, Batch
from simulators.plan.devices import Device
from simulators.plan.load import SECOND
from tests.unit.simulators.faulty_fleet import BEGAN, Boiler, batches, fleet

EVERYTHING: list[dict[str, Any]] = [
    {"kind": "stuck", "every": 7, "length": 2, "devices": 0.5},
    {"kind": "spike", "rate": 0.1},
    {"kind": "nan", "rate": 0.1},
    {"kind": "clock_jump", "every": 9, "length": 2},
    {"kind": "malformed", "rate": 0.1},
    {"kind": "duplicate", "rate": 0.1},
    {"kind": "offline", "every": 15, "length": 4, "devices": 0.5},
    {"kind": "dup", "rate": 0.2},
]
DEVICES = [Device(n, f"b-{n:03d}", 0, n) for n in range(50)]


def messages(found: list[Batch]) -> list[tuple[object, ...]]:
    """Give everything that is said of each message, whatever batch it is in."""
    rows = []
    for batch in found:
        of = [batch.intended, batch.topics, batch.payloads, batch.flags, batch.devices, batch.faults, batch.expects]
        of_message: dict[int, list[object]] = {}
        for block in batch.blocks:
            columns = zip(*block.columns.values(), strict=True)
            for place, ts, values in zip(block.messages, block.ts, columns, strict=True):
                of_message.setdefault(place, []).append((ts, [str(value) for value in values]))
        rows += [(*row, str(of_message.get(n))) for n, row in enumerate(zip(*of, strict=True))]
    return sorted(rows, key=str)


def hit(found: list[Batch], kind: str) -> list[tuple[int, int]]:
    """Give device and moment of each message that a fault has hit."""
    return sorted(
        (device, at)
        for batch in found
        for device, at, faults in zip(batch.devices, batch.intended, batch.faults, strict=True)
        if kind in faults.split("+")
    )


def acts(fault: dict[str, Any], seconds: float, step: float = 0.05) -> list[Act]:
    injector = Faults(FAULTS.validate_python([fault]), Target(3, Boiler(), Json(), DEVICES))
    steps, length = round(seconds / step), round(step * SECOND)
    slices = [(BEGAN + n * length, BEGAN + (n + 1) * length) for n in range(steps)]
    return [act for start, end in slices for act in injector.acts(BEGAN, start, end)]


def test_how_a_run_is_cut_changes_no_fault() -> None:
    first = messages(batches(fleet(EVERYTHING, seconds=30), 0.05))
    assert messages(batches(fleet(EVERYTHING, seconds=30), 7.3)) == first
    assert messages(batches(fleet(EVERYTHING, seconds=30, seed=6), 7.3)) != first
    assert {part for row in first for part in str(row[5]).split("+")} >= {"stuck", "nan", "malformed", "offline", ""}


@pytest.mark.parametrize("rate", [0.003, 0.2, 1.0])
def test_the_rate_is_the_share_of_readings_that_are_hit(rate: float) -> None:
    found = batches(fleet([{"kind": "dup", "rate": rate}], count=100, seconds=100))
    count, most = len(hit(found, "dup")), 10_000
    assert abs(count - rate * most) <= 4 * (most * rate * (1 - rate)) ** 0.5
    if rate == 0.2:
        of_device = Counter(device for device, _ in hit(found, "dup"))
        assert len(of_device) == 100
        assert max(of_device.values()) < 40


def test_a_share_of_the_devices_has_it_all_the_time_and_the_others_never() -> None:
    found = batches(fleet([{"kind": "clock_skew", "seconds": 60, "devices": "25 %"}], count=400, seconds=5))
    of_device = Counter(device for device, _ in hit(found, "clock_skew"))
    assert set(of_device.values()) == {5}
    assert abs(len(of_device) - 100) < 4 * 75**0.5


def test_a_fault_is_there_only_from_and_until() -> None:
    found = batches(fleet([{"kind": "dup", "rate": 1, "from": "4 s", "until": 9}], count=10, seconds=20))
    moments = [(at - BEGAN) / SECOND for _, at in hit(found, "dup")]
    assert len(moments) == 50
    assert 4 <= min(moments) <= max(moments) < 9


def test_a_fault_comes_back_in_each_device_at_moments_of_its_own() -> None:
    found = batches(fleet([{"kind": "stuck", "every": 10, "length": 4}], count=30, seconds=60))
    moments = hit(found, "stuck")
    firsts = {device: min(at for d, at in moments if d == device) - BEGAN for device, _ in moments}
    assert len(firsts) == 30
    assert max(firsts.values()) - min(firsts.values()) > 5 * SECOND
    gaps = {b - a for (d, a), (e, b) in pairwise(moments) if d == e}
    assert gaps == {SECOND, 7 * SECOND}
    together = batches(fleet([{"kind": "stuck", "every": 10, "length": 4, "together": True}], count=30, seconds=60))
    assert {(at - BEGAN) // SECOND % 10 for _, at in hit(together, "stuck")} == {0, 1, 2, 3}


def test_a_sensor_that_is_stuck_says_the_same_until_it_is_free() -> None:
    plan = fleet([{"kind": "stuck", "every": 10, "length": 5, "metric": "temperature"}], count=1, seconds=60)
    said = [value for batch in batches(plan) for block in batch.blocks for value in block.columns["temperature"]]
    names = [name for batch in batches(plan) for name in batch.faults]
    stuck = [value for value, name in zip(said, names, strict=True) if name]
    assert len(stuck) >= 25
    assert 5 <= len(set(stuck)) <= 6
    assert len(set(said)) > 20


def test_a_device_that_was_offline_sends_everything_at_once_when_it_is_back() -> None:
    found = batches(fleet([{"kind": "offline", "length": 6, "from": 5}], count=3, seconds=20))
    held = hit(found, "offline")
    assert len(held) == 18
    assert {at for _, at in held} == {BEGAN + 11 * SECOND}
    times = [ts for batch in found for block in batch.blocks for ts in block.ts]
    assert len(set(times)) == 60
    assert acts({"kind": "offline", "length": 6, "from": 5}, 20) == [
        Act(BEGAN + 5 * SECOND, n, "away", 6.0) for n in range(50)
    ]


def test_another_devices_topic_is_published_over_the_devices_own_connection() -> None:
    found = batches(fleet([{"kind": "foreign", "rate": 1, "checked": False}], seconds=5))
    pairs = {
        (device, topic.decode()) for batch in found for device, topic in zip(batch.devices, batch.topics, strict=True)
    }
    assert all(f"b-{device:03d}" not in topic for device, topic in pairs)
    assert len(pairs) > 4


def test_a_batch_of_which_nothing_is_stored_says_nothing_of_points() -> None:
    found = batches(fleet([{"kind": "malformed", "rate": 0.5}], count=3), 0.05)
    blocks = [block for batch in found for block in batch.blocks]
    assert 0 < len(blocks) < len(found)
    assert all(len(block.messages) for block in blocks)


def test_flags_are_those_of_the_packet() -> None:
    found = batches(fleet([{"kind": "retained", "rate": 0.5}, {"kind": "dup", "rate": 1}]))
    flags = {(name, flag) for batch in found for name, flag in zip(batch.faults, batch.flags, strict=True)}
    assert flags == {("retained", RETAIN), ("dup", DUP)}


def test_a_storm_resets_every_connection_at_one_moment() -> None:
    found = acts({"kind": "reconnect_storm", "every": 10, "from": 5}, 30)
    assert [(act.at - BEGAN) // SECOND for act in found[::50]] == [5, 15, 25]
    assert Counter(act.at for act in found) == {BEGAN + at * SECOND: 50 for at in (5, 15, 25)}
    assert {act.kind for act in found} == {"drop"}


@pytest.mark.parametrize(
    ("fault", "kind", "amount"),
    [("half_open", "silent", 0), ("slow", "slow", 40), ("flap", "flap", 0), ("wrong_credentials",) * 2 + (0,)],
)
def test_connections_are_hit_one_by_one_and_the_same_however_it_is_cut(fault: str, kind: str, amount: float) -> None:
    written: dict[str, Any] = {"kind": fault, "every": 10, "length": 2, "devices": 0.5}
    if amount:
        written["rate"] = amount
    found = acts(written, 30)
    assert found == acts(written, 30, 1.25)
    assert 1 < len({act.at for act in found if act.at < BEGAN + 10 * SECOND}) < 45
    assert {(act.kind, act.seconds, act.amount) for act in found} == {(kind, 2.0, amount)}
    for device in {act.device for act in found}:
        mine = [act.at for act in found if act.device == device]
        assert {b - a for a, b in pairwise(mine)} == {10 * SECOND}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "hiccup"}, "hiccup"),
        ({"kind": "spike"}, "rate"),
        ({"kind": "spike", "rate": 2}, "rate"),
        ({"kind": "spike", "rate": 0.1, "metric": "mode"}, "'mode' is no number"),
        ({"kind": "spike", "rate": 0.1, "every": 3}, "every and length go together"),
        ({"kind": "spike", "rate": 0.1, "from": 3, "until": 2}, "until is not after from"),
        ({"kind": "stuck", "every": 3, "length": 3}, "length has to be below every"),
        ({"kind": "offline"}, "needs length"),
        ({"kind": "clock_jump"}, "needs every and length"),
        ({"kind": "clock_skew", "seconds": 400}, "depends on when the message arrives"),
        ({"kind": "clock_skew", "seconds": 40, "colour": "red"}, "colour"),
        ({"kind": "clock_unset", "says": "1970"}, "a small number of ns is taken for s"),
    ],
)
def test_a_fault_that_cannot_be_says_why(fault: dict[str, Any], words: str) -> None:
    with pytest.raises((ValidationError, ValueError), match=words):
        fleet([fault])


@pytest.mark.parametrize(
    ("fault", "spoken", "words"),
    [
        ({"kind": "clock_skew", "seconds": 10}, "value", "have no time of their own"),
        ({"kind": "malformed", "rate": 0.1, "ways": ["words"]}, "value", "text is a value"),
        ({"kind": "foreign", "rate": 0.1}, "sparkplug", "numbered by connection"),
        ({"kind": "flap", "every": 3, "length": 1}, "sparkplug", "numbered by connection"),
        ({"kind": "foreign", "rate": 0.1, "checked": False}, "tasmota", "too coarse"),
    ],
)
def test_a_format_that_cannot_express_a_fault_says_why(fault: dict[str, Any], spoken: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fleet([fault], spoken=spoken)


def test_devices_that_share_a_connection_cannot_lose_it_alone_or_be_told_apart() -> None:
    shared = Target(3, Boiler(), Json(), DEVICES, own=False)
    with pytest.raises(ValueError, match="half_open: every device has to have a connection of its own"):
        Faults(FAULTS.validate_python([{"kind": "half_open", "length": 2}]), shared)
    with pytest.raises(ValueError, match="foreign: to be refused, every device has to have a connection of its own"):
        Faults(FAULTS.validate_python([{"kind": "foreign", "rate": 0.1}]), shared)
    held = Faults(FAULTS.validate_python([{"kind": "offline", "length": 2}]), shared)
    assert held.acts(BEGAN, BEGAN, BEGAN + SECOND) == []
