"""Keeps the stack's processes running, and ends them in order."""

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import IO

from contracts.backoff import delays

STOP_SECONDS = 8.0
"""How long all processes together may take to stop before they are killed."""

_LOG_BYTES = 10 << 20
_LINES_LOOKED_AT = 1000
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Program:
    """A process to keep running. Those of a higher `tier` are stopped first: intake before storage, servers last."""

    name: str
    command: Sequence[str]
    tier: int
    env: Mapping[str, str] = field(default_factory=dict)


class Supervisor:
    """Runs programs, starts again those that end, and says so in `DIR/run.json`: their process ids by name.

    Each program's output goes to `DIR/logs/NAME.log`. On Linux the programs end with this process, however it ends.
    """

    def __init__(self, directory: Path, rng: Random) -> None:
        self._directory, self._rng = directory, rng
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._tiers: dict[str, int] = {}
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._stopping: set[str] = set()
        self._failures: dict[str, str] = {}
        self.restarts: dict[str, int] = {}
        (directory / "logs").mkdir(parents=True, exist_ok=True)

    def start(self, program: Program) -> None:
        """Run `program` from now on."""
        self._tiers[program.name] = program.tier
        self._stopping.discard(program.name)
        self._tasks[program.name] = asyncio.create_task(self._keep(program))

    def pids(self) -> dict[str, int]:
        """Give the process ids of the programs that run now, by name."""
        return {name: process.pid for name, process in self._processes.items() if process.returncode is None}

    def log_tail(self, name: str, lines: int = 5) -> str:
        """Return the last lines that a program wrote, or why it could not be started."""
        if name in self._failures:
            return self._failures[name]
        with contextlib.suppress(FileNotFoundError):
            return "\n".join(self._log(name).read_text(errors="replace").splitlines()[-lines:])
        return ""

    def complaint(self, name: str) -> str:
        """Return the last line in which a program that runs warned of something, or its last line if it did not."""
        lines = self.log_tail(name, _LINES_LOOKED_AT).splitlines()
        began = max((at for at, line in enumerate(lines) if '"service.started"' in line), default=0)
        warned = [line for line in lines[began:] if '"level": "warning"' in line or '"level": "error"' in line]
        return (warned or lines[-1:] or [""])[-1]

    async def stop(self, *names: str) -> None:
        """End the named programs, or all: SIGTERM, highest tier first, and SIGKILL to what is left at the end."""
        chosen = names or tuple(self._tasks)
        self._stopping.update(chosen)
        deadline = asyncio.get_running_loop().time() + STOP_SECONDS
        for tier in sorted({self._tiers[name] for name in chosen}, reverse=True):
            await self._stop_tier([name for name in chosen if self._tiers[name] == tier], deadline)
        tasks = [self._tasks.pop(name) for name in chosen if name in self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._kill(chosen)  # what was just being started
        self._record()

    async def _stop_tier(self, names: Sequence[str], deadline: float) -> None:
        alive = [process for name in names if (process := self._processes.get(name)) and process.returncode is None]
        for process in alive:
            process.terminate()
        waits = [asyncio.ensure_future(process.wait()) for process in alive]
        if waits:
            await asyncio.wait(waits, timeout=max(0.2, deadline - asyncio.get_running_loop().time()))
        await self._kill(names)

    async def _kill(self, names: Sequence[str]) -> None:
        for name in names:
            process = self._processes.get(name)
            if process is not None and process.returncode is None:
                process.kill()
                await process.wait()

    async def _keep(self, program: Program) -> None:
        waits = delays(self._rng, first=0.2)
        loop = asyncio.get_running_loop()
        while program.name not in self._stopping:
            began = loop.time()
            try:
                process = self._processes[program.name] = await self._spawn(program)
            except OSError as error:  # no memory, no room for the log, no such program
                self._failures[program.name] = f"{program.command[0]}: {error}"
            else:
                self._failures.pop(program.name, None)
                self._record()
                await process.wait()
            if program.name in self._stopping:
                return
            self.restarts[program.name] = self.restarts.get(program.name, 0) + 1
            if loop.time() - began > 10:  # noqa: PLR2004 - it had run well for ten seconds: begin with short waits again
                waits = delays(self._rng, first=0.2)
            await asyncio.sleep(next(waits))

    async def _spawn(self, program: Program) -> asyncio.subprocess.Process:
        with self._open_log(program.name) as log:
            return await asyncio.create_subprocess_exec(
                *program.command,
                env={**os.environ, **program.env},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us: we stop them in order
                preexec_fn=_end_with_parent,
            )

    def _log(self, name: str) -> Path:
        return self._directory / "logs" / f"{name}.log"

    def _open_log(self, name: str) -> IO[bytes]:
        """Open a program's log to append to; one that has grown too long is put aside, in place of the one before."""
        path = self._log(name)
        if path.exists() and path.stat().st_size > _LOG_BYTES:
            path.replace(path.with_suffix(".log.old"))
        return path.open("ab")

    def _record(self) -> None:
        scratch = self._directory / "run.json.new"
        with contextlib.suppress(OSError):  # a full disk: the next start or stop writes it again
            scratch.write_text(json.dumps(self.pids(), indent=1) + "\n")
            scratch.replace(self._directory / "run.json")


def _end_with_parent() -> None:
    """Have the kernel end this process when its parent ends, even by SIGKILL (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
