"""The supervisor, with real processes."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random

import psutil
import pytest

from deploy.local.supervisor import Program, Supervisor

SLEEPER = [sys.executable, "-c", "print('here', flush=True); import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here', flush=True); time.sleep(60)",
]


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(tmp_path, Random(1))
    yield supervisor
    await supervisor.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def pids(directory: Path) -> dict[str, int]:
    path = directory / "run.json"
    found: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
    return found


async def test_what_is_killed_is_started_again(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(Program("sleeper", SLEEPER, tier=0))
    await until(lambda: "sleeper" in pids(tmp_path))
    first = pids(tmp_path)["sleeper"]
    os.kill(first, signal.SIGKILL)
    await until(lambda: pids(tmp_path).get("sleeper", first) != first)
    assert supervisor.restarts == {"sleeper": 1}


async def test_output_goes_to_a_log(supervisor: Supervisor) -> None:
    supervisor.start(Program("sleeper", SLEEPER, tier=0))
    await until(lambda: supervisor.log_tail("sleeper") == "here")


async def test_of_a_log_the_last_warning_of_the_last_start_is_told(supervisor: Supervisor, tmp_path: Path) -> None:
    said = [
        '{"event": "store.unavailable", "error": "of long ago", "level": "warning"}',
        '{"event": "service.started", "level": "info"}',
        '{"event": "store.unavailable", "error": "refused", "level": "warning"}',
        '{"event": "lease.taken", "level": "info"}',
    ]
    log = tmp_path / "logs" / "service.log"
    log.write_text("\n".join(said[:2]))
    assert supervisor.complaint("service") == said[1]
    log.write_text("\n".join(said))
    assert supervisor.complaint("service") == said[2]


async def test_stopping_ends_everything_and_starts_nothing_again(supervisor: Supervisor, tmp_path: Path) -> None:
    for name in ("one", "two"):
        supervisor.start(Program(name, SLEEPER, tier=0))
    await until(lambda: len(pids(tmp_path)) == 2)
    started = list(pids(tmp_path).values())
    await supervisor.stop()
    assert not any(psutil.pid_exists(pid) for pid in started)
    assert pids(tmp_path) == {}
    await supervisor.stop()


async def test_one_program_can_be_stopped_alone(supervisor: Supervisor, tmp_path: Path) -> None:
    for name in ("one", "two"):
        supervisor.start(Program(name, SLEEPER, tier=0))
    await until(lambda: len(pids(tmp_path)) == 2)
    await supervisor.stop("one")
    assert list(pids(tmp_path)) == ["two"]


async def test_what_does_not_heed_a_signal_is_killed_in_the_end(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.local.supervisor.STOP_SECONDS", 0.5)
    supervisor.start(Program("stubborn", STUBBORN, tier=0))
    await until(lambda: supervisor.log_tail("stubborn") == "here")
    pid = pids(tmp_path)["stubborn"]
    await supervisor.stop()
    assert not psutil.pid_exists(pid)


async def test_higher_tiers_are_stopped_first(supervisor: Supervisor, tmp_path: Path) -> None:
    order = tmp_path / "order"
    say = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: (open({!r}, 'a').write({!r}), sys.exit(0)))"
    for name, tier in (("server ", 0), ("service ", 1), ("load ", 2)):
        code = say.format(str(order), name) + "; print('here', flush=True); signal.pause(); signal.pause()"
        supervisor.start(Program(name, [sys.executable, "-c", code], tier))
    for name in ("server ", "service ", "load "):
        await until(lambda name=name: supervisor.log_tail(name) == "here")  # type: ignore[misc]  # bound per turn
    await supervisor.stop()
    assert order.read_text() == "load service server "


async def test_what_cannot_be_started_is_tried_again_and_says_why(supervisor: Supervisor) -> None:
    supervisor.start(Program("missing", ["/no/such/program"], tier=0))
    await until(lambda: supervisor.restarts.get("missing", 0) > 1)
    assert "No such file" in supervisor.log_tail("missing")


async def test_a_record_that_cannot_be_written_ends_nothing(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "run.json.new").mkdir()  # as little use as a full disk
    supervisor.start(Program("short", [sys.executable, "-c", ""], tier=0))
    await until(lambda: supervisor.restarts.get("short", 0) > 1)
