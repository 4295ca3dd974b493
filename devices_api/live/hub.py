"""The hub: reads the streams once for all listeners to live events of this replica."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence

from nats.errors import Error as NatsError
from nats.js.api import ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from contracts.backoff import end
from contracts.jetstream import Link
from contracts.logs import Log
from devices_api.errors import UnavailableError
from devices_api.live.listening import Listener, Wish
from devices_api.live.live import SOURCES, Entry, Position, Ring
from devices_api.metrics import Metrics
from devices_api.stream import AWAY, NAME

MOST_LISTENERS = 1000
_RING_BYTES = 64 << 20
_IDLE_S = 600.0
"""So long the hub goes on after the last listener has gone, for it to come back and have missed nothing."""
_POLL_S = 0.5
_ASK_S = 5.0


class TooManyError(Exception):
    """There are as many listeners as this replica takes."""


class Hub:
    """Hears of everything while somebody listens, and for some minutes after.

    Nothing waits for it: what it does not hear in time is told to the listeners as lost, and is in the store.
    """

    def __init__(self, link: Link, metrics: Metrics, log: Log, clock: Callable[[], float]) -> None:
        self._link, self._metrics, self._log, self._clock = link, metrics, log, clock
        self._ring = Ring(_RING_BYTES)
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self._hearing = asyncio.Event()
        self._left = 0.0
        self._closed = False

    async def listen(self, wish: Wish, last: Position | None) -> tuple[Listener, Iterator[Entry]]:
        """Join; returns the listener, and what it has missed since `last`.

        Raises TooManyError, UnavailableError, and ValueError if the streams have not come as far as `last`.
        """
        if len(self._listeners) >= MOST_LISTENERS:
            raise TooManyError
        await self._begin()
        if last is not None:
            await self._check_position(last)
        position = self._ring.position() if last is None else last
        listener = Listener(wish, position, self._clock)
        missed = list(self._ring.since(position))  # as it is now: what comes from here on is offered
        self._listeners.add(listener)
        self._metrics.listeners.set(len(self._listeners))
        return listener, iter(missed)

    def leave(self, listener: Listener) -> None:
        """Let a listener go."""
        if listener.dropped:
            self._metrics.listeners_dropped.labels(listener.dropped.partition(":")[0]).inc()
        self._listeners.discard(listener)
        self._left = self._clock()
        self._metrics.listeners.set(len(self._listeners))

    async def close(self) -> None:
        """End all listeners' events and stop hearing."""
        self._closed = True
        for listener in self._listeners:
            listener.drop("stopping: this replica stops; begin again from the last id")
        if self._task is not None:
            await end([self._task])

    async def _begin(self) -> None:
        if self._closed or not self._link.up:
            raise UnavailableError(NAME)
        if self._task is None or self._task.done():
            self._hearing.clear()
            self._task = asyncio.create_task(self._run(), name="hub")
        try:
            async with asyncio.timeout(_ASK_S):
                await self._hearing.wait()
        except TimeoutError as error:
            raise UnavailableError(NAME) from error

    async def _check_position(self, last: Position) -> None:
        """Refuse a position of streams that are no more; another replica may have heard more than this one."""
        ahead = [source for source, head in enumerate(self._ring.head) if last.sequences[source] > head]
        try:
            for source in ahead:
                if last.sequences[source] > await self._head(SOURCES[source].name):
                    raise ValueError("the streams that this id is of have been made anew; begin without one")
        except AWAY as error:
            raise UnavailableError(NAME) from error

    async def _run(self) -> None:
        """Hear the streams until nobody has listened for a while."""
        while True:
            try:
                heads = [await self._head(stream.name) for stream in SOURCES]
                break
            except AWAY as error:
                self._log.debug("live.not_begun", error=repr(error))
                await asyncio.sleep(_POLL_S)
        self._ring.begin(heads)
        self._left = self._clock()
        tasks = [asyncio.create_task(self._follow(source)) for source in range(len(SOURCES))]
        self._hearing.set()
        try:
            while self._listeners or self._clock() - self._left < _IDLE_S:
                await asyncio.wait(tasks, timeout=_POLL_S, return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    if task.done():
                        task.result()
        finally:
            self._hearing.clear()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for listener in self._listeners:
                listener.drop("unavailable: events are not heard any more; begin again from the last id")

    async def _head(self, stream: str) -> int:
        """Tell how far a stream has come; of one that nobody has made yet, nothing has come."""
        try:
            return (await self._link.js.stream_info(stream)).state.last_seq
        except NotFoundError:
            return 0

    async def _follow(self, source: int) -> None:
        """Hear one stream for ever, from where the ring has come to in it."""
        while True:
            try:
                await self._hear(source)
            except AWAY as error:
                self._log.debug("live.interrupted", stream=SOURCES[source].name, error=repr(error))
            await asyncio.sleep(_POLL_S)

    async def _hear(self, source: int) -> None:
        """Hear one stream until the connection is another one, or the reader has been deleted."""
        stream, generation = SOURCES[source], self._link.generation
        start = self._ring.head[source] + 1
        head = await self._head(stream.name)
        if start > head + 1:  # the stream has been made anew
            start = 1
            self._ring.forget(source)
            for listener in self._listeners:
                listener.drop("reset: the stream has been made anew; begin without an id")
        config = ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=start)
        reader = await self._link.js.subscribe(
            stream.subjects, stream=stream.name, ordered_consumer=True, config=config
        )
        try:
            found = await reader.consumer_info()
            if not found.num_pending and found.delivered is not None and not found.delivered.consumer_seq:
                self._offer(self._ring.lose(source, head))  # the stream does not keep them any more
            while self._link.generation == generation and self._link.up:
                try:
                    message = await reader.next_msg(timeout=_ASK_S)
                except TimeoutError:
                    await reader.consumer_info()  # raises where the server has forgotten the reader
                    continue
                sequence = message.metadata.sequence
                if sequence is not None:
                    self._offer(self._ring.add(source, sequence.stream, message.data))
        finally:
            with contextlib.suppress(NatsError):  # it must not take the place of a cancellation
                await reader.unsubscribe()

    def _offer(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            for listener in self._listeners:
                listener.offer(entry)
