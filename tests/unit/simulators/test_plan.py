import os
import subprocess
import sys
from itertools import islice, pairwise
from typing import Any

import numpy as np

from simulators.faults.injector import Act, Draft
from simulators.formats import FORMATS
from simulators.formats.json import Json
from simulators.formats.wire import Encoded
from simulators.plan.batch import ARRIVAL, RETAIN, Batch, Expect
from simulators.plan.load import SECOND, Load, Phase
from simulators.plan.plan import Part, Plan
from tests.unit.simulators.fleet_of_fakes import BEGAN, Numbers, devices


def plan(seed: int = 1, *, rate: float = 2.0, injector: "Spoiler | None" = None) -> Plan:
    parts = [
        Part(Numbers(), Json(), devices(5), rate, injector),
        Part(Numbers(), Json(), devices(3, part=1, first=5), 7.0),
    ]
    return Plan(seed, parts, Load([Phase(4), Phase(2, 1, 5)]))


def batches(found: Plan, seconds: float = 0.05) -> list[Batch]:
    return [batch for some in found.slices(BEGAN, seconds) for batch in some]


class Spoiler:
    """Spoils each device's third reading: its clock is wrong, one value is bad, and it is sent again a second later."""

    def before(self, draft: Draft) -> None:
        for row, turn in enumerate(draft.turns):
            if turn == 2:
                draft.faults[row], draft.expects[row] = "spoilt", Expect.PARTLY
                draft.arrival.add(row)
                draft.bad.add((row, "level"))

    def after(self, draft: Draft, encoded: Encoded, batch: Batch) -> None:
        del encoded
        for row in [row for row, turn in enumerate(draft.turns) if turn == 2]:
            columns: list[list[Any]] = [batch.devices, batch.topics, batch.payloads, batch.flags]
            for column in [*columns, batch.faults, batch.expects]:
                column.append(column[row])
            batch.intended.append(batch.intended[row] + SECOND)

    def acts(self, began: int, start: int, end: int) -> list[Act]:
        del began, start, end
        return []


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    first, again, other = batches(plan()), batches(plan()), batches(plan(2))
    assert first == again
    assert [b.payloads for b in first] != [b.payloads for b in other]


def test_two_processes_make_the_same_in_every_format_with_faults_too() -> None:
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.unit.simulators.plan_digest"],
            env=os.environ | {"PYTHONHASHSEED": seed},
            stdout=-1,
            text=True,
        )
        for seed in ("1", "2")
    ]
    first, second = (run.communicate(timeout=60)[0].splitlines() for run in runs)
    assert {line.split()[0] for line in first} == set(FORMATS)
    assert first == second


def test_how_a_plan_is_cut_changes_nothing_but_the_numbers() -> None:
    def everything(seconds: float) -> list[tuple[int, bytes, bytes]]:
        return sorted(
            message for b in batches(plan(), seconds) for message in zip(b.intended, b.topics, b.payloads, strict=True)
        )

    assert everything(0.05) == everything(0.31)


def test_numbers_go_on_without_a_gap() -> None:
    numbers = [n for b in batches(plan(injector=Spoiler())) for n in range(b.first, b.first + len(b))]
    assert numbers == list(range(len(numbers)))


def test_every_device_keeps_its_rate_with_a_phase_of_its_own() -> None:
    of_part = [b for b in batches(plan()) if b.devices[0] < 5]
    for device in range(5):
        due = [at for b in of_part for at, d in zip(b.intended, b.devices, strict=True) if d == device]
        steady = [at - BEGAN for at in due if at - BEGAN < 4 * SECOND]
        assert len(steady) == 8
        assert {b - a for a, b in pairwise(steady)} == {SECOND // 2}


def test_the_truth_is_what_the_model_says() -> None:
    [block] = batches(plan())[0].blocks
    sent = Numbers().values(1, np.array(block.devices), np.array(block.ts))
    assert block.columns == sent


def test_a_spoilt_reading_is_partly_stored_on_arrival() -> None:
    found = batches(plan(injector=Spoiler()))
    spoilt = [(b, n) for b in found for n in range(len(b)) if b.faults[n]]
    assert len(spoilt) == 10
    assert {b.expects[n] for b, n in spoilt} == {Expect.PARTLY}
    times = [
        t for b, _ in spoilt for block in b.blocks for t, m in zip(block.ts, block.messages, strict=True) if b.faults[m]
    ]
    levels = [
        v
        for b, _ in spoilt
        for block in b.blocks
        for v, t in zip(block.columns["level"], block.ts, strict=True)
        if t == ARRIVAL
    ]
    assert set(times) == {ARRIVAL}
    assert set(levels) == {None}


def test_what_devices_say_when_they_come_is_retained_and_no_reading() -> None:
    made = plan()
    opening = made.opening(made.parts[0].devices, BEGAN, made.parts[0])
    assert opening.topics[0] == b"devices/n-000/status"
    assert set(opening.flags) == {RETAIN}
    assert opening.blocks == []
    assert next(islice(made.slices(BEGAN, 1), 1))[0].first == len(opening)
