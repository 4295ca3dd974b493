"""Makes things fail at their moments, and undoes it."""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable, Sequence

from simulators.scenario.failures import Kind
from simulators.scenario.report import Stretch
from simulators.scenario.spec import Failure
from simulators.scenario.stage import Stage, StageError

_COMMAND_S = 60.0


class Failing:
    """The failures of a run. `elapsed` gives the seconds since the sending began, `rest` waits for seconds."""

    def __init__(
        self,
        stage: Stage,
        failures: Sequence[Failure],
        elapsed: Callable[[], float],
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._stage, self._elapsed, self._rest = stage, elapsed, rest
        self._failures = failures
        self._under_way: list[Failure] = []
        self.done: list[Stretch] = []
        """What has been done so far, in the order in which it was begun."""

    @property
    def now(self) -> list[str]:
        """Name what is failing now."""
        return [failure.title for failure in self._under_way]

    async def run(self) -> None:
        """Do everything in its time."""
        async with asyncio.TaskGroup() as group:
            for failure in self._failures:
                group.create_task(self._one(failure))

    async def end(self) -> None:
        """Undo what is under way, so that the system can come to rest; for when `run` was cancelled.

        Raises StageError with all that could not be undone; the rest is.
        """
        troubles = []
        for failure in list(self._under_way):
            try:
                await self._undo(failure)
            except StageError as error:
                troubles.append(f"{failure.title}: {error}")
        if troubles:
            raise StageError("; ".join(troubles))

    async def _one(self, failure: Failure) -> None:
        await self._rest(max(0.0, failure.at - self._elapsed()))
        began = self._elapsed()
        place = len(self.done)
        self.done.append(Stretch(failure.title, began, None))
        if failure.lasts is not None:
            self._under_way.append(failure)  # from here on: a run may be stopped in the midst of it
        try:
            await self._do(failure)
        except StageError as error:
            if failure.lasts is not None:
                self._under_way.remove(failure)
            self.done[place] = Stretch(failure.title, began, None, str(error))
            return
        if failure.lasts is None:
            return
        note = ""
        try:
            await self._rest(max(0.0, failure.at + failure.lasts - self._elapsed()))
            await self._undo(failure)
        except StageError as error:
            note = str(error)
        finally:
            self.done[place] = Stretch(failure.title, began, self._elapsed(), note)

    async def _do(self, failure: Failure) -> None:
        if failure.action.kind is Kind.COMMAND:
            await _command(failure.command)
        else:
            await self._stage.do(failure.action)

    async def _undo(self, failure: Failure) -> None:
        self._under_way.remove(failure)
        if failure.action.kind is Kind.COMMAND:
            await _command(failure.undo)
        else:
            await self._stage.undo(failure.action)


async def _command(command: Sequence[str]) -> None:
    """Run a command of the scenario's. Raises StageError if it cannot be run, fails, or takes a minute."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except OSError as error:
        raise StageError(f"{command[0]} cannot be run: {error.strerror}") from None
    try:
        async with asyncio.timeout(_COMMAND_S):
            said, _ = await process.communicate()
    except TimeoutError:
        raise StageError(f"{command[0]} did not end within {_COMMAND_S:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise StageError(f"{command[0]} ended with {process.returncode}: {said.decode(errors='replace').strip()[:200]}")
