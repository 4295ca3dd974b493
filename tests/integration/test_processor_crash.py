"""The writing process killed at any moment: what it said was committed is there, and the law holds."""

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from contracts.readings import Reading
from contracts.timeseries import ROLLUP_WIDTH
from processor.timeseries import TimeSeries
from tests.unit.processor.test_processor_law import rollups_of, stored

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from pathlib import Path
from random import Random
from processor.timeseries import TimeSeries
from tests.integration.test_processor_crash import groups

store = TimeSeries(Path(sys.argv[1]), 1000)
for number, group in enumerate(groups(int(sys.argv[2]))):
    store.write(group)
    print(number, flush=True)
"""


def groups(seed: int) -> list[list[Reading]]:
    """Groups of readings: mostly in order, some late, some repeated, some of another type."""
    rng = Random(seed)
    made: list[list[Reading]] = []
    ts = 0
    for _ in range(120):
        group = []
        for _ in range(rng.randrange(1, 120)):
            ts += ROLLUP_WIDTH // 500
            late = rng.randrange(3 * ROLLUP_WIDTH) if rng.random() < 0.05 else 0
            device = f"device-{rng.randrange(20)}"
            value = "text" if rng.random() < 0.02 else rng.gauss(20, 5)
            group.append(Reading(device, max(0, ts - late), ts, {"m": value, "b": True}))
        made.append(group + made[-1] if made and rng.random() < 0.1 else group)
    return made


@pytest.mark.parametrize("seed", range(4))
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
    points, rollups = stored(path)
    sent = groups(seed)
    for group in sent[: committed + 1]:
        for reading in group:
            assert (reading.device, "m", reading.ts) in points
    assert rollups == rollups_of(points)
    store = TimeSeries(path, 1000)
    for group in sent:
        store.write(group)
    store.close()
    points, rollups = stored(path)
    expected = {
        (reading.device, metric, reading.ts): value
        for group in sent
        for reading in group
        for metric, value in reading.values.items()
    }
    assert points == expected
    assert rollups == rollups_of(expected)
