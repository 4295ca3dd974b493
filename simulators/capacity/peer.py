"""Another subscriber beside us: a command that takes messages into a store of its own, and one that counts there."""

import asyncio
import contextlib
import os
import shlex
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import psutil

from simulators.capacity.subject import SubjectError

_COUNT_S, _STOP_S = 60.0, 10.0
_SHOWN = 300


class Peer:
    """The subscriber that `process` is. `query` is a command that prints, as its last word, the points stored."""

    def __init__(
        self, process: asyncio.subprocess.Process, query: str, broker: Mapping[str, int], at: tuple[str, int]
    ) -> None:
        self._process, self._query, self._broker = process, query, broker
        self.mqtt_host, self.mqtt_port = at
        self.name = "subscriber"

    def pids(self) -> Mapping[str, int]:
        """Give the broker, the subscriber, and whatever it has started."""
        found = {**self._broker, self.name: self._process.pid}
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self._process.pid).children(recursive=True):
                found[f"{self.name}/{child.pid}"] = child.pid
        return found

    async def written(self) -> int:
        """Ask the query."""
        if self._process.returncode is not None:
            raise SubjectError(f"the subscriber has ended with status {self._process.returncode}")
        counting = await asyncio.create_subprocess_exec(
            *shlex.split(self._query), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(_COUNT_S):
                output, complaint = await counting.communicate()
        except TimeoutError:
            counting.kill()
            raise SubjectError(f"--compare-query gave nothing within {_COUNT_S:.0f} s") from None
        lines = output.decode(errors="replace").split()
        try:
            return int(lines[-1])
        except (IndexError, ValueError):
            said = (complaint or output).decode(errors="replace").strip()[:_SHOWN]
            raise SubjectError(f"--compare-query gave no number: {said or 'nothing'}") from None

    async def stored(self, devices: Sequence[str], start: int, end: int) -> int | None:
        """Leave it to what the query counts."""
        del devices, start, end
        return None

    def store_bytes(self) -> int | None:
        """Not know."""
        return None


@contextlib.asynccontextmanager
async def peer(
    command: str, query: str, broker: Mapping[str, int], at: tuple[str, int], log: Path
) -> AsyncIterator[Peer]:
    """Run `command` as long as the context is open; in both, {mqtt_host} and {mqtt_port} are filled in.

    What it says goes to the file `log`. Raises SubjectError if it cannot be started.
    """
    filled = [text.replace("{mqtt_host}", at[0]).replace("{mqtt_port}", str(at[1])) for text in (command, query)]
    with log.open("wb") as output:
        try:
            process = await asyncio.create_subprocess_exec(
                *shlex.split(filled[0]), stdout=output, stderr=output, start_new_session=True
            )
        except (OSError, ValueError) as error:
            raise SubjectError(f"--compare-command: {error}") from None
    try:
        yield Peer(process, filled[1], broker, at)
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End it with all that it has started."""
    with contextlib.suppress(ProcessLookupError, TimeoutError):
        os.killpg(process.pid, signal.SIGTERM)
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
