"""The server or the writing process killed at any moment: what was said to be stored is there, and the law holds."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from threading import Timer

import pytest

from contracts.readings import Reading, Value
from contracts.timeseries import MINUTE, Days
from contracts.victoria_layout import TICK
from processor.engine import Engine
from processor.store import StoreUnavailableError
from tests.conftest import Server
from tests.stores.oracle import Name, rollups_of
from tests.stores.reading_back_victoria import of_victoria, point_differences, rollup_differences
from tests.stores.victoria_server import store_at, url_of, victoria_server

ROOT = Path(__file__).parents[2]
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 10))]
DAYS = Days("Asia/Kolkata")
BEGIN = 1_774_742_400_000_000_000
PROGRAM = """
import sys
from tests.integration.test_victoria_crash import engine_on, groups

url, seed, first, epoch = sys.argv[1], *map(int, sys.argv[2:])
engine = engine_on(url)
for number, group in list(enumerate(groups(seed)))[first:]:
    engine.write([(0, group)], {0: epoch})
    print(number, flush=True)
"""


def engine_on(url: str) -> Engine:
    return Engine(store_at(url), 1000, lambda _: DAYS, TICK)


def groups(seed: int) -> list[list[Reading]]:
    """Groups of readings: mostly in order, some late, some repeated, some of another type."""
    rng = Random(seed)
    made: list[list[Reading]] = []
    ts = BEGIN
    for _ in range(30):
        group = []
        for _ in range(rng.randrange(1, 120)):
            ts += MINUTE // 200
            late = rng.randrange(3 * MINUTE) if rng.random() < 0.05 else 0
            device = f"device-{rng.randrange(20)}"
            value = "text" if rng.random() < 0.02 else rng.gauss(20, 5)
            group.append(Reading(device, max(BEGIN, ts - late), ts, {"m": value, "b": True}))
        made.append(group + made[-1] if made and rng.random() < 0.1 else group)
    return made


def points_of(sent: Sequence[list[Reading]]) -> dict[tuple[Name, int], Value]:
    points: dict[tuple[Name, int], Value] = {}
    for group in sent:
        for reading in group:
            for metric, value in reading.values.items():
                key = ("default", reading.device, metric, value.__class__), reading.ts // TICK * TICK
                points[key] = max(value, points.get(key, value))
    return points


def check(url: str, sent: Sequence[list[Reading]]) -> None:
    points, rollups = of_victoria(url, DAYS)
    wanted = points_of(sent)
    assert not point_differences(points, wanted)
    assert not rollup_differences(rollups, rollups_of(wanted, DAYS))


@pytest.fixture
def server() -> Iterator[Server]:
    with victoria_server() as server:
        yield server


@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_write_said_is_stored_survives_a_kill_of_the_server(server: Server, seed: int) -> None:
    rng = Random(seed)
    sent = groups(seed)
    engine = engine_on(url_of(server))
    for number, group in enumerate(sent):
        engine.write([(0, group)], {0: 1})
        if rng.random() < 0.2:
            server.kill()
            server.start()
            check(url_of(server), sent[: number + 1])
    engine.close()
    check(url_of(server), sent)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_server_killed_in_the_middle_of_a_write_has_all_of_it_when_it_is_written_again(
    server: Server, seed: int
) -> None:
    rng = Random(seed)
    sent = groups(seed)
    engine = engine_on(url_of(server))
    for number, group in enumerate(sent[:15]):
        process = server.process
        assert process is not None
        timer = Timer(rng.uniform(0, 0.15), process.kill)
        if rng.random() < 0.5:
            timer.start()
        for _ in range(2):
            try:
                engine.write([(0, group)], {0: 1})
                break
            except StoreUnavailableError:
                server.kill()
                server.start()
        else:
            pytest.fail("the second try fails, too")
        timer.cancel()
        if process.poll() is not None and server.process is process:
            server.kill()
            server.start()
            check(url_of(server), sent[: number + 1])
    engine.close()
    check(url_of(server), sent[:15])


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_committed_survives_a_kill_of_the_writer(server: Server, seed: int) -> None:
    rng = Random(seed)
    sent = groups(seed)
    committed = -1
    for epoch in (1, 2):  # killed, started again where the stream goes on, and killed again
        command = [sys.executable, "-c", PROGRAM, url_of(server), str(seed), str(committed + 1), str(epoch)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            until = committed + rng.randrange(2, 8)
            for line in process.stdout:
                committed = int(line)
                if committed == until:
                    Timer(rng.uniform(0, 0.1), process.kill).start()
    points, _ = of_victoria(url_of(server), DAYS)
    assert points.keys() >= points_of(sent[: committed + 1]).keys()
    engine = engine_on(url_of(server))
    for group in sent[committed + 1 :]:
        engine.write([(0, group)], {0: 3})
    engine.close()
    check(url_of(server), sent)
