"""The process that writes to InfluxDB, killed at any moment: what it said was committed is there, and the law holds."""

import subprocess
import sys
from random import Random

import pytest

from contracts.readings import Reading, Value
from contracts.timeseries import Days
from processor.engine import Engine
from tests.integration.test_processor_crash import ROOT, groups
from tests.stores.influx_law import Bucket
from tests.stores.influx_server import BUCKET, TOKEN, InfluxServer
from tests.stores.oracle import Name, differences, rollups_of

ZONE = Days("Asia/Kolkata")
PROGRAM = """
import sys
from tests.integration.test_influx_crash import engine_on, stamped

engine = engine_on(sys.argv[1])
for number, group in enumerate(stamped(int(sys.argv[2]))):
    engine.write([(0, group)], {0: int(sys.argv[3])})
    print(number, flush=True)
"""


def engine_on(url: str) -> Engine:
    return Engine(Bucket(url, TOKEN, "plant", BUCKET).store(), 1000, lambda _: ZONE)


def profile_of(seed: int) -> str:
    return f"crash-{seed}"


def stamped(seed: int) -> list[list[Reading]]:
    return [[Reading(r.device, r.ts, r.received, r.values, {}, profile_of(seed)) for r in g] for g in groups(seed)]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 10))])
def test_what_was_committed_survives_a_kill_of_the_writer(influx: InfluxServer, seed: int) -> None:
    rng = Random(seed)
    bucket = Bucket(influx.url, TOKEN, "plant", BUCKET)
    committed = -1
    for epoch in (1, 2):  # killed, started again on what is there, and killed again
        command = [sys.executable, "-c", PROGRAM, influx.url, str(seed), str(epoch)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            until = rng.randrange(5, 30)
            last = -1
            for line in process.stdout:
                last = int(line)
                if last >= until:
                    process.kill()
            committed = max(committed, last)
    sent = stamped(seed)
    points, _ = bucket.read_back(profile_of(seed))
    for group in sent[: committed + 1]:
        for reading in group:
            value = reading.values["m"]
            assert ((profile_of(seed), reading.device, "m", value.__class__), reading.ts) in points
    engine = engine_on(influx.url)
    for group in sent[:60]:
        engine.write([(0, group)], {0: 3})
    engine.close()
    expected: dict[tuple[Name, int], Value] = {
        ((profile_of(seed), reading.device, metric, value.__class__), reading.ts): value
        for group in sent[:60]
        for reading in group
        for metric, value in reading.values.items()
    }
    points, rollups = bucket.read_back(profile_of(seed))
    assert points == expected
    assert not differences(rollups, rollups_of(expected, ZONE))
