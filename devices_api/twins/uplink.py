"""The reader of UPLINK: what devices tell that is no reading, given to whoever handles its kind.

Replicas share the consumer, so each message goes to one of them, and two of one device may be handled at once or out of
order. `Told.at` has the order in which they came: handlers are to come to the same end in any order.
"""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from nats.aio.msg import Msg

from contracts.deadletters import DEAD_LETTER, DeadLetter, Reason
from contracts.jetstream import NotAcknowledgedError
from contracts.logs import Log
from contracts.streams import DEVICES_API, UPLINK, deadletter_subject
from contracts.topics import device_id_problem
from contracts.uplink import UPLINK_MESSAGE, Kind, Uplink
from contracts.wire import SchemaError
from devices_api.errors import UnavailableError
from devices_api.metrics import Metrics
from devices_api.shared import SharedReader
from devices_api.stream import AWAY, StreamServer

AT_ONCE = 64
"""Messages taken at a time: those of one kind in one call of its handler."""

_POLL_S = 0.5
_AGAIN_S = 2.0
"""When a message comes again whose handler lacked something."""


class RefusedError(Exception):
    """A message cannot be handled, now or later: it becomes a dead letter with this reason."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Told:
    """One message, and its place on the stream."""

    uplink: Uplink
    sequence: int

    @property
    def at(self) -> tuple[int, int]:
        """When it came, comparable with others of its device: several may have come in the same moment."""
        return self.uplink.received, self.sequence


Handler = Callable[[Sequence[Told]], Awaitable[None]]
"""Takes messages of one kind, all or none of them, and returns once what they say is on disk.

Raises UnavailableError where something is away: they come again; RefusedError if one of them cannot be handled. After
any error but the first each is given alone. It may get a message again that it has handled.
"""


class UplinkReader:
    """Reads, has each message handled, and acknowledges it after that. Kinds without a handler become dead letters."""

    def __init__(
        self,
        stream: StreamServer,
        handlers: Mapping[Kind, Handler],
        metrics: Metrics,
        log: Log,
        now: Callable[[], int],
    ) -> None:
        self._stream, self._handlers = stream, handlers
        self._metrics, self._log, self._now = metrics, log, now
        self._reader = SharedReader(stream.link, UPLINK.name, DEVICES_API)
        self._stopping = False
        self._away = False

    def finish(self) -> None:
        """Let `run` return after the messages in hand."""
        self._stopping = True

    async def run(self) -> None:
        """Read until `finish`; what was not acknowledged comes again, to this reader or to another."""
        while not self._stopping:
            if not self._stream.ready:
                await asyncio.sleep(_POLL_S)
                continue
            try:
                await self._take(await self._reader.fetch(AT_ONCE, _POLL_S))
            except (*AWAY, NotAcknowledgedError) as error:
                if not self._away:
                    self._log.warning("uplink.away", error=repr(error))
                self._away = True
                self._stream.doubt()
                await self._reader.close()
                await asyncio.sleep(_POLL_S)
            else:
                self._away = False
        await self._reader.close()

    async def _take(self, messages: Sequence[Msg]) -> None:
        kinds: dict[Kind, list[tuple[Msg, Told]]] = {}
        for message in messages:
            try:
                uplink = UPLINK_MESSAGE.decode(message.data)
            except SchemaError as error:
                letter = DeadLetter(
                    1, Reason.UNKNOWN_SCHEMA, str(error), message.subject, message.data, self._now(), DEVICES_API
                )
                await self._dead_letter(message, letter)
                continue
            kinds.setdefault(uplink.kind, []).append((message, Told(uplink, message.metadata.sequence.stream)))
        for kind, found in kinds.items():
            await self._handle(kind, found)

    async def _handle(self, kind: Kind, found: Sequence[tuple[Msg, Told]]) -> None:
        try:
            await self._call(kind, [told for _, told in found])
        except UnavailableError as error:
            if not self._away:
                self._log.warning("uplink.waits", error=str(error))
            self._away = True
            for message, _ in found:
                await message.nak(_AGAIN_S)
        except Exception as error:  # noqa: BLE001 - one of them is at fault: find out which, and keep the others
            if len(found) > 1:
                for one in found:
                    await self._handle(kind, [one])
            else:
                await self._refuse(*found[0], error)
        else:
            for message, _ in found:
                await message.ack()
            self._metrics.uplink_messages.labels(kind).inc(len(found))

    async def _call(self, kind: Kind, found: Sequence[Told]) -> None:
        for told in found:
            # Who is to become a device has no id yet.
            if kind != "provision" and (problem := device_id_problem(told.uplink.device)):
                raise RefusedError(Reason.BAD_DEVICE, f"the device id {problem}")
        if kind not in self._handlers:
            raise RefusedError(Reason.UNKNOWN_SCHEMA, f"nothing here handles the kind {kind}")
        await self._handlers[kind](found)

    async def _refuse(self, message: Msg, told: Told, error: Exception) -> None:
        if isinstance(error, RefusedError):
            reason, detail = error.reason, error.detail
        else:
            self._log.error("uplink.unexpected", kind=told.uplink.kind, device=told.uplink.device, exc_info=error)
            reason, detail = Reason.UNEXPECTED, "".join(traceback.format_exception(error))
        uplink = told.uplink
        letter = DeadLetter(
            1, reason, detail, uplink.topic, uplink.payload, uplink.received, DEVICES_API, uplink.device
        )
        await self._dead_letter(message, letter)

    async def _dead_letter(self, message: Msg, letter: DeadLetter) -> None:
        subject = deadletter_subject(letter.reason, letter.device)
        await self._stream.publisher.publish(subject, DEAD_LETTER.encode(letter))
        await message.ack()
        self._metrics.dead_letters.labels(letter.reason).inc()
