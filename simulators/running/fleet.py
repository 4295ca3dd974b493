"""A fleet that runs: a plan, its connections and its ledger, from the first CONNECT to the last acknowledgement."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from contracts.logs import Log
from simulators.connections.outlet import Connect, Line
from simulators.metrics import Metrics
from simulators.plan.batch import Batch
from simulators.plan.plan import Plan
from simulators.running.progress import Progress
from simulators.running.sender import Sender
from simulators.truth.keeping import Ledger

_ACKS_SHARE, _FAREWELL_SHARE, _CLOSING_SHARE = 0.6, 0.2, 0.1
"""Shares of the time for stopping: outstanding acknowledgements, saying that the devices leave, disconnecting."""

_POLL_S = 0.02


class Fleet:
    """Runs a plan over the connections that `lines` describe, once.

    Its ledger is closed when it stops. `follow` is told of each batch before any of it is sent.
    """

    def __init__(
        self,
        *,
        plan: Plan,
        lines: Sequence[tuple[Connect, Line]],
        ledger: Ledger | None,
        metrics: Metrics,
        now: Callable[[], int],
        log: Log,
        follow: Callable[[Batch], None] | None = None,
    ) -> None:
        self._ledger, self._log = ledger, log
        self._sender = Sender(plan=plan, ledger=ledger, metrics=metrics, now=now, follow=follow)
        self._outlets = [connect(line, self._sender) for connect, line in lines]
        self._sender.use(
            {
                device.number: outlet
                for outlet, (_, line) in zip(self._outlets, lines, strict=True)
                for device in line.devices
            }
        )
        self._task: asyncio.Task[None] | None = None
        self._failure = ""
        metrics.watch(
            unacked=lambda: self._sender.unacked, connected=lambda: sum(outlet.up for outlet in self._outlets)
        )

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return self._sender.progress

    @property
    def failure(self) -> str:
        """What ended the sending before its time, such as a ledger that cannot be written."""
        return self._failure or self._sender.trouble

    @property
    def up(self) -> bool:
        """Whether every connection is there now."""
        return self._sender.up

    @property
    def done(self) -> asyncio.Event:
        """Set once everything has been handed to the connections."""
        return self._sender.done

    def start(self) -> None:
        """Connect, and send everything once all connections have been accepted."""
        if self._task is None:
            for outlet in self._outlets:
                outlet.start()
            self._task = asyncio.create_task(self._run(), name="fleet")

    async def _run(self) -> None:
        try:
            await self._sender.run()
        except Exception as error:  # noqa: BLE001 - whatever it is, what is sent after it could not be proved
            self._failure = str(error)
            self._log.exception("fleet.failed")

    async def settled(self, seconds: float) -> bool:
        """Wait for up to `seconds` until everything that was handed over is acknowledged; returns whether it is."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._sender.unacked:  # noqa: ASYNC110 - thousands of acknowledgements a second set no events
                    await asyncio.sleep(_POLL_S)
        return not self._sender.unacked

    async def stop(self, seconds: float) -> None:
        """Send no more, wait for what is outstanding, have the devices leave, and complete the ledger, in `seconds`."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        try:
            await self.settled(seconds * _ACKS_SHARE)
            self._sender.farewell()
            await self.settled(seconds * _FAREWELL_SHARE)
            await asyncio.gather(*(outlet.stop(seconds * _CLOSING_SHARE) for outlet in self._outlets))
        finally:
            if self._ledger is not None:
                await asyncio.to_thread(self._ledger.close)
