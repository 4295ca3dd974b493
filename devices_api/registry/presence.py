"""The reader of PRESENCE: devices that come, go, or are seen for the first time."""

import asyncio
import traceback
from collections.abc import Callable

from nats.aio.msg import Msg

from contracts.backoff import end
from contracts.deadletters import DEAD_LETTER, DeadLetter, Reason
from contracts.jetstream import NotAcknowledgedError, OrderedReader
from contracts.lease import Lease
from contracts.logs import Log
from contracts.presence import PRESENCE_MESSAGE, Presence
from contracts.streams import DEVICES_API, PRESENCE, deadletter_subject
from contracts.topics import device_id_problem
from contracts.wire import SchemaError
from devices_api.errors import UnavailableError
from devices_api.metrics import Metrics
from devices_api.registry.hearing import Taken
from devices_api.repository import Repository
from devices_api.stream import AWAY, StreamServer

_POLL_S = 0.5


class PresenceReader:
    """Takes presence messages into the registry, a transaction a read, and acknowledges them after the commit.

    Their order matters, so of several replicas the one that holds `lease` reads them.
    """

    def __init__(  # noqa: PLR0913 - what it stands on
        self,
        repository: Repository,
        stream: StreamServer,
        changed: Callable[[], None],
        metrics: Metrics,
        log: Log,
        *,
        lease: Lease,
        now: Callable[[], int],
        limit: int,
    ) -> None:
        self._repository, self._stream, self._changed, self._lease = repository, stream, changed, lease
        self._metrics, self._log, self._now, self._limit = metrics, log, now, limit
        self._reader = OrderedReader(stream.link, PRESENCE.name, DEVICES_API)
        self._stopping = False
        self._away = False
        self._full = False

    def finish(self) -> None:
        """Let `run` return after the messages in hand."""
        self._stopping = True

    async def run(self) -> None:
        """Read until `finish`; what was not acknowledged when something failed is read again."""
        keeping = asyncio.create_task(self._keep_lease())
        try:
            while not self._stopping:
                await self._turn()
                if keeping.done():
                    keeping.result()  # it ends only by a fault of ours: begin anew with it
        finally:
            await end([keeping])
            await self._close()
            await self._lease.release()

    async def _keep_lease(self) -> None:
        while not self._stream.ready:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(_POLL_S)
        await self._lease.keep()

    async def _turn(self) -> None:
        """Take what has come, if it is ours to take."""
        if not (self._stream.ready and self._lease.held):
            await self._close()
            await asyncio.sleep(_POLL_S)
            return
        try:
            messages = await self._reader.read(_POLL_S)
            if messages:
                await self._take(messages)
                if self._lease.held:  # else another reads them again, which changes nothing
                    await messages[-1].ack()
        except (*AWAY, NotAcknowledgedError, UnavailableError) as error:
            if not self._away:
                self._log.warning("presence.away", error=repr(error))
            self._away = True
            if not isinstance(error, UnavailableError):
                self._stream.doubt()
            await self._close()
            await asyncio.sleep(_POLL_S)
        else:
            self._away = False

    async def _close(self) -> None:
        try:
            await self._reader.close()
        except AWAY as error:
            self._log.debug("presence.close_failed", error=str(error))

    async def _take(self, messages: list[Msg]) -> None:
        good: list[tuple[Msg, Presence]] = []
        for message in messages:
            try:
                presence = PRESENCE_MESSAGE.decode(message.data)
            except SchemaError as error:
                await self._dead_letter(message, Reason.UNKNOWN_SCHEMA, str(error))
                continue
            if problem := device_id_problem(presence.device):
                await self._dead_letter(message, Reason.BAD_DEVICE, f"the device id {problem}")
            else:
                good.append((message, presence))
        try:
            await self._commit([presence for _, presence in good])
        except UnavailableError:
            raise
        except Exception:  # noqa: BLE001 - one of them is at fault: find out which, and keep the others
            for message, presence in good:
                await self._take_alone(message, presence)

    async def _take_alone(self, message: Msg, presence: Presence) -> None:
        try:
            await self._commit([presence])
        except UnavailableError:
            raise
        except Exception:  # noqa: BLE001 - the message becomes a dead letter, with the traceback
            self._log.exception("presence.unexpected", device=presence.device)
            await self._dead_letter(message, Reason.UNEXPECTED, traceback.format_exc(), presence.device)

    async def _commit(self, messages: list[Presence]) -> None:
        if not messages:
            return
        taken = await self._repository.take_presence(messages, self._now(), self._limit)
        for message in messages:
            self._metrics.presence_events.labels(message.state).inc()
        self._count(taken)
        if taken.registered or any(message.state == "online" for message in messages):
            self._changed()

    def _count(self, taken: Taken) -> None:
        self._metrics.auto_registered.inc(taken.registered)
        self._metrics.refused.labels("auto_register_limit").inc(taken.refused)
        self._metrics.refused.labels("presence_limit").inc(taken.forgotten)
        self._metrics.refused.labels("unregistered_facts").inc(taken.unregistered_facts)
        self._metrics.refused.labels("facts_limit").inc(taken.refused_facts)
        if taken.refused and not self._full:
            self._full = True
            self._log.warning("presence.registry_full", limit=self._limit)

    async def _dead_letter(self, message: Msg, reason: Reason, detail: str, device: str = "") -> None:
        letter = DeadLetter(1, reason, detail, message.subject, message.data, self._now(), DEVICES_API, device)
        await self._stream.publisher.publish(deadletter_subject(reason, device), DEAD_LETTER.encode(letter))
        self._metrics.dead_letters.labels(reason).inc()
