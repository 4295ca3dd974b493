"""Stacks on this machine as a scenario acts on them: one of its own, or one that runs in some data directory."""

import asyncio
import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from random import Random

from deploy.local import addresses, ports
from deploy.local.stack import HOST, Options, Stack
from deploy.local.supervisor import Supervisor
from deploy.local.up import ready, running
from simulators.scenario.failures import Action, Kind
from simulators.scenario.stage import Addresses, StageError

_METRICS = ("ingest", "processor", "devices_api", "alerting")
_FILLER = "something else"
_CHUNK = 1 << 20
_REFILL_S = 0.2
_APART = "SENSORIUM_APART"
"""Set in a process that has a view of the file systems of its own, where it may mount a disk."""


class OwnStage:
    """A stack that was started for a scenario."""

    def __init__(self, stack: Stack, supervisor: Supervisor, disk: Path | None) -> None:
        self._stack, self._supervisor, self._disk = stack, supervisor, disk
        self._filling: asyncio.Task[None] | None = None
        self._frozen: dict[str, int] = {}
        self.addresses = Addresses(
            stack.mqtt_host,
            stack.mqtt_port,
            stack.urls["devices_api"],
            stack.urls["alerting"],
            stack.key,
            {name: stack.urls[name] for name in _METRICS},
        )

    @property
    def directory(self) -> Path:
        """Say where it keeps everything."""
        return self._stack.directory

    def pids(self) -> dict[str, int]:
        """Ask its supervisor."""
        return self._supervisor.pids()

    def lacks(self, action: Action) -> str:
        """Miss nothing but a disk of its own, where it has none."""
        return "its disk is the machine's, which is never filled" if action.kind is Kind.DISK and not self._disk else ""

    async def do(self, action: Action) -> None:
        """Kill, stop or freeze a program, or fill the disk with the time series."""
        match action.kind:
            case Kind.STOP:
                await self._supervisor.stop(action.program)
            case Kind.DISK if self._disk:
                self._filling = asyncio.create_task(_keep_full(self._disk))
            case Kind.KILL | Kind.FREEZE:
                pid = _signal(self.pids(), action)
                if action.kind is Kind.FREEZE:
                    self._frozen[action.program] = pid
            case _:
                raise StageError(self.lacks(action))

    async def undo(self, action: Action) -> None:
        """Start what was stopped, let go on what was frozen, and make room on the disk."""
        match action.kind:
            case Kind.STOP:
                self._supervisor.start(next(p for p in self._stack.programs() if p.name == action.program))
            case Kind.DISK:
                await self._free()
            case Kind.FREEZE:
                _let_go(self._frozen.pop(action.program, 0))

    async def close(self) -> None:
        """Leave nothing frozen, which could not be stopped, and nothing full."""
        await self._free()
        for pid in self._frozen.values():
            _let_go(pid)

    async def _free(self) -> None:
        filling, self._filling = self._filling, None
        if filling is None or self._disk is None:
            return
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)
        (self._disk / _FILLER).unlink(missing_ok=True)


class RunningStage:
    """A stack that runs in `directory`, known by the files that it keeps there. Raises StageError if none runs."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        try:
            (host, port), urls = addresses.read(directory)
            key = (directory / "admin.key").read_text().strip()
            self.pids()
        except (OSError, ValueError) as error:
            raise StageError(f"no stack runs in {directory}: {error}") from None
        metrics = {name: urls[name] for name in _METRICS}
        self.addresses = Addresses(host, port, urls["devices_api"], urls["alerting"], key, metrics)
        self._frozen: dict[str, int] = {}

    def pids(self) -> dict[str, int]:
        """Read what its supervisor writes."""
        found: dict[str, int] = json.loads((self._directory / "run.json").read_text())
        return found

    def lacks(self, action: Action) -> str:
        """Allow what signals do: its supervisor starts again what was killed, and would what was stopped."""
        allowed = action.kind in (Kind.KILL, Kind.FREEZE)
        return "" if allowed else f"{action.kind.value!r} needs a stack of the scenario's own: use --stack"

    async def do(self, action: Action) -> None:
        """Kill or freeze a program."""
        if why := self.lacks(action):
            raise StageError(why)
        pid = _signal(self.pids(), action)
        if action.kind is Kind.FREEZE:
            self._frozen[action.program] = pid

    async def undo(self, action: Action) -> None:
        """Let go on what was frozen."""
        _let_go(self._frozen.pop(action.program, 0))

    async def close(self) -> None:
        """Leave nothing frozen."""
        for pid in self._frozen.values():
            _let_go(pid)


@contextlib.asynccontextmanager
async def own_stage(broker: str, env: Mapping[str, str], disk: int, rng: Random) -> AsyncIterator[OwnStage]:
    """Run a stack in a temporary directory, on free ports, for as long as the context is open.

    `env` is told to its services. `disk` is how many bytes the disk with its time series has; 0: as the machine has.
    """
    mqtt, api, alerting, nats = ports.free(HOST, 4)
    with tempfile.TemporaryDirectory(prefix="sensorium-scenario-") as directory, _disk(Path(directory), disk) as own:
        store = str(own / "timeseries.sqlite3") if own else ""
        stack = Stack(Options(Path(directory) / "data", broker, mqtt, api, alerting, nats, store, env))
        with contextlib.closing(stack):
            async with running(stack, rng) as supervisor:
                await ready(stack, supervisor)
                stage = OwnStage(stack, supervisor, own)
                try:
                    yield stage
                finally:
                    await stage.close()


def apart(command: list[str]) -> None:
    """Begin `command` again with a view of the file systems of its own, if it has none; needed for a full disk.

    What is mounted there ends with the process, however that ends. Raises StageError where that is not allowed.
    """
    if _APART in os.environ:
        return
    program = shutil.which("unshare")
    if program is None or subprocess.run([program, "-rm", "true"], check=False, capture_output=True).returncode:
        raise StageError("a full disk needs a disk of its own, and this machine lets nobody mount one (unshare -rm)")
    sys.stdout.flush()
    os.execve(program, [program, "-rm", *command], os.environ | {_APART: "1"})  # noqa: S606 - the same command again


@contextlib.contextmanager
def _disk(directory: Path, size: int) -> Iterator[Path | None]:
    """Give a file system of so many bytes."""
    if not size:
        yield None
        return
    path = directory / "disk"
    path.mkdir()
    mount, umount = shutil.which("mount") or "mount", shutil.which("umount") or "umount"
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise StageError(f"a disk of its own could not be mounted: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run([umount, "-l", path], check=False, capture_output=True)


async def _keep_full(disk: Path) -> None:
    """Keep the disk full: what others give up is taken too."""
    while True:
        fill(disk / _FILLER)
        await asyncio.sleep(_REFILL_S)


def fill(path: Path) -> None:
    """Take all the room that there is on the disk of `path`, by adding to that file."""
    with path.open("ab", buffering=0) as file:
        size = _CHUNK
        while size:
            try:
                file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size //= 2


def _signal(pids: Mapping[str, int], action: Action) -> int:
    """Kill or freeze a program; returns its process id."""
    pid = pids.get(action.program, 0)
    try:
        if pid:
            os.kill(pid, signal.SIGKILL if action.kind is Kind.KILL else signal.SIGSTOP)
            return pid
    except ProcessLookupError:
        pass  # it ended a moment ago
    raise StageError(f"{action.program} does not run")


def _let_go(pid: int) -> None:
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
