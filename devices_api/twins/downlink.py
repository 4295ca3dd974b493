"""What devices are told of their twins, published: the desired state, retained, and what they lack when they come."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from contracts import topics
from contracts.deadletters import Reason
from contracts.logs import Log
from contracts.mqtt import Publisher
from devices_api.errors import UnavailableError
from devices_api.metrics import Metrics
from devices_api.rounds import Rounds
from devices_api.twins.twin import delta, read_report, state_of
from devices_api.twins.twins import LEASE_NS, Due, Report, Twins, UnknownDeviceError
from devices_api.twins.uplink import RefusedError, Told

AT_ONCE = 128
"""Messages published before their acknowledgements are awaited."""

_POLL_S = 1.0


class TwinSender:
    """Works off the twins' outbox: each row by one replica, as the twin is then, until the broker has it.

    So versions of a device reach the broker in order. After a crash a message may be published again.
    """

    def __init__(self, twins: Twins, broker: Publisher, metrics: Metrics, log: Log, now: Callable[[], int]) -> None:
        self._twins, self._broker, self._metrics, self._log, self._now = twins, broker, metrics, log, now
        self._rounds = Rounds(_POLL_S, "twins.behind", log)

    def wake(self) -> None:
        """Tell of a change, so that it is published at once."""
        self._rounds.wake()

    def finish(self) -> None:
        """Let `run` return after the messages in flight."""
        self._rounds.finish()

    async def run(self) -> None:
        """Publish what is on the outbox, whenever there is something and the broker is there, until `finish`."""
        await self._rounds.run(self._round)

    async def _round(self) -> None:
        while self._broker.up and not self._rounds.stopping and await self._some():
            pass

    async def _some(self) -> bool:
        """Publish some of it; says whether there may be more. Raises UnavailableError after giving back what failed."""
        taken_at = self._now()
        due = await self._twins.take_due(taken_at, AT_ONCE)
        if not due:
            return False
        results = await asyncio.gather(
            *(self._publish(item, taken_at + LEASE_NS // 2) for item in due), return_exceptions=True
        )
        failed = [item for item, result in zip(due, results, strict=True) if result is not None]
        await self._twins.told([item for item in due if item not in failed], failed)
        for result in results:
            if result is not None:
                raise result
        return len(due) == AT_ONCE

    async def _publish(self, item: Due, until: int) -> None:
        # A process that stood still may have lost the row to another, which has published a later version.
        if self._now() > until:
            raise UnavailableError("the time for it")
        twin = item.twin
        if item.kind == "desired":
            content = b"" if twin is None else _json({"version": twin.version, "desired": state_of(twin.desired)})
            await self._broker.publish(topics.desired(item.device), content, retain=True)
        else:
            lacking = delta(state_of(twin.desired), state_of(twin.reported)) if twin else {}
            if twin is None or not lacking:
                return
            await self._broker.publish(topics.delta(item.device), _json({"version": twin.version, "delta": lacking}))
        self._metrics.told.labels(item.kind).inc()


def _json(content: object) -> bytes:
    return msgspec.json.encode(content)


class ReportReader:
    """Handles `reported`: what devices say of their state."""

    def __init__(self, twins: Twins, wake: Callable[[], None], now: Callable[[], int]) -> None:
        self._twins, self._wake, self._now = twins, wake, now

    async def take(self, told: Sequence[Told]) -> None:
        """Merge what is reported; see uplink.Handler."""
        reports = []
        for item in told:
            try:
                patch, applied = read_report(item.uplink.payload)
            except ValueError as error:
                raise RefusedError(Reason.MALFORMED, str(error)) from error
            reports.append(Report(item.uplink.device, patch, applied, item.at))
        try:
            await self._twins.take_reports(reports, self._now())
        except UnknownDeviceError as error:
            raise RefusedError(Reason.UNKNOWN_DEVICE, "the device is not registered") from error
        except ValueError as error:
            raise RefusedError(Reason.TOO_LARGE, f"the reported state would be too much: {error}") from error
        if any(not report.patch for report in reports):
            self._wake()
