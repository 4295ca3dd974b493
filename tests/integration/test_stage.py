"""A stack as a scenario acts on it: its own, and by the data directory that it keeps."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

import httpx
import psutil
import pytest

from deploy.local.stage import RunningStage, own_stage
from simulators.scenario import failures
from simulators.scenario.failures import Action, Kind
from simulators.scenario.stage import StageError


async def until(condition: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(40):
            while not condition():
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"not within 40 s: {what}")


async def test_programs_are_killed_stopped_and_frozen_and_come_back() -> None:
    async with own_stage("nats", {"INGEST_UNKNOWN_DEVICE": "quarantine"}, 0, Random(1)) as stage:
        first = stage.pids()
        assert first.keys() == set(failures.PROGRAMS)
        environment = psutil.Process(first["ingest"]).environ()
        assert environment["INGEST_UNKNOWN_DEVICE"] == "quarantine"

        beside = RunningStage(stage.directory)
        assert beside.addresses == stage.addresses
        await beside.do(failures.parse("kill alerting"))
        await stage.do(failures.parse("stop processor"))
        assert "processor" not in stage.pids()
        frozen = psutil.Process(first["devices_api"])
        await beside.do(failures.parse("freeze devices_api"))
        await until(lambda: frozen.status() == psutil.STATUS_STOPPED, "it is frozen")
        await until(lambda: stage.pids().get("alerting", first["alerting"]) != first["alerting"], "it is started again")
        assert "processor" not in stage.pids(), "nobody starts what was stopped"

        await beside.undo(failures.parse("freeze devices_api"))
        await stage.undo(failures.parse("stop processor"))
        await until(lambda: "processor" in stage.pids(), "it is started")
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"{beside.addresses.devices_api}/healthz")).is_success

        assert "needs a stack of the scenario's own" in beside.lacks(failures.parse("stop broker"))
        with pytest.raises(StageError, match="never filled"):
            await stage.do(Action(Kind.DISK))
        await stage.do(failures.parse("freeze ingest"))  # and it is stopped nevertheless
        ended = [psutil.Process(pid) for pid in stage.pids().values()]
    assert not any(process.is_running() for process in ended)


def test_where_no_stack_runs_is_said(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="no stack runs in"):
        RunningStage(tmp_path)
