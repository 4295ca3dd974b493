"""The writing process killed at any moment: what it said was committed is there, and the law holds."""

import subprocess
import sys
from pathlib import Path
from random import Random, SystemRandom

import pytest

from contracts.readings import Reading, Value
from contracts.timeseries import MINUTE, Days
from processor.engine import Engine
from processor.sqlite import SqliteStore
from tests.stores.oracle import Name, differences, rollups_of
from tests.stores.reading_back import of_sqlite

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from pathlib import Path
from random import Random
from tests.integration.test_processor_crash import engine_on, groups

engine = engine_on(Path(sys.argv[1]))
for number, group in enumerate(groups(int(sys.argv[2]))):
    engine.write([(0, group)], {0: 1})
    print(number, flush=True)
"""


def engine_on(path: Path) -> Engine:
    return Engine(SqliteStore(path, SystemRandom().getrandbits(62)), 1000, lambda _: Days("Asia/Kolkata"))


def groups(seed: int) -> list[list[Reading]]:
    """Groups of readings: mostly in order, some late, some repeated, some of another type."""
    rng = Random(seed)
    made: list[list[Reading]] = []
    ts = 0
    for _ in range(120):
        group = []
        for _ in range(rng.randrange(1, 120)):
            ts += MINUTE // 500
            late = rng.randrange(3 * MINUTE) if rng.random() < 0.05 else 0
            device = f"device-{rng.randrange(20)}"
            value = "text" if rng.random() < 0.02 else rng.gauss(20, 5)
            group.append(Reading(device, max(0, ts - late), ts, {"m": value, "b": True}))
        made.append(group + made[-1] if made and rng.random() < 0.1 else group)
    return made


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(3, 10))])
def test_what_was_committed_survives_a_kill_and_its_rollups_are_right(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "store.sqlite3"
    rng = Random(seed)
    committed = -1
    for _ in range(2):  # killed, started again on what is there, and killed again
        command = [sys.executable, "-c", PROGRAM, str(path), str(seed)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            until = rng.randrange(5, 50)
            last = -1
            for line in process.stdout:
                last = int(line)
                if last >= until:
                    process.kill()
            committed = max(committed, last)
    points, rollups = of_sqlite(path)
    sent = groups(seed)
    for group in sent[: committed + 1]:
        for reading in group:
            value = reading.values["m"]
            assert (("default", reading.device, "m", value.__class__), reading.ts) in points
    assert not differences(rollups, rollups_of(points, Days("Asia/Kolkata")))
    engine = engine_on(path)
    for group in sent:
        engine.write([(0, group)], {0: 1})
    engine.close()
    points, rollups = of_sqlite(path)
    expected: dict[tuple[Name, int], Value] = {
        (("default", reading.device, metric, value.__class__), reading.ts): value
        for group in sent
        for reading in group
        for metric, value in reading.values.items()
    }
    assert points == expected
    assert not differences(rollups, rollups_of(expected, Days("Asia/Kolkata")))
