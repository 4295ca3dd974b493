"""The stream server: one connection that is kept up, streams as declared, acknowledged publishing, ordered reading."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Self

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, Header, KeyValueConfig, RetentionPolicy, StreamConfig
from nats.js.errors import BucketNotFoundError, NotFoundError
from nats.js.kv import KeyValue

from contracts.backoff import cancellable
from contracts.consumers import ensure_consumers, partitions_of
from contracts.logs import Log
from contracts.streams import DEFAULT_PARTITIONS, PARTITIONS_KEY, Stream

OLDEST_SERVER = (2, 14)
"""The first server version whose consumers can be reset, on which ordered reading rests."""

PULL_EXPIRES_S = 30.0
REOPEN_S = 1.0
_EXPIRED = "408"
"""Status of a request that ended because its time was over."""
_NO_CONSUMER = 10014
"""What the server's answer calls a consumer that is not there, while its stream is."""


class NotAcknowledgedError(Exception):
    """The stream refused a message, or did not answer in time: it has to be published again."""


class NoStreamError(NotAcknowledgedError):
    """No stream takes the subject: it has not been made yet, or somebody has deleted it."""


class ConsumerGoneError(NotFoundError):
    """The stream is there, and the consumer is not: somebody has deleted it."""


class Link:
    """A connection to the stream server, kept up until `close`.

    `connect` waits until there is a server, however long that takes; after it, the link reconnects by itself and
    `up` tells whether it is connected. `generation` grows with each reconnection. `client` is the raw connection, and
    another one after the server has refused the one before: whoever subscribes does so again then.
    """

    def __init__(self, url: str, token: str, name: str, log: Log) -> None:
        self._url, self._token, self._name, self._log = url, token, name, log
        self.client = Client()
        self._begun = self._closing = False
        self._connecting = asyncio.Lock()
        self._reopening: asyncio.Task[None] | None = None
        self.generation = 0

    @property
    def up(self) -> bool:
        """Whether there is a connection now."""
        return self.client.is_connected

    @property
    def js(self) -> JetStreamContext:
        """Give the JetStream side of the connection."""
        return self.client.jetstream()

    async def connect(self) -> Self:
        """Connect, waiting for the server, unless that is done. Raises RuntimeError if the server is too old.

        Whoever calls it while another call connects waits for that one.
        """
        async with self._connecting:
            if not self.up and self._reopening is None:
                await self._open(self.client)
        return self

    async def close(self) -> None:
        """Close the connection, at once; a second time, or before `connect`, it does nothing."""
        self._closing = True
        if self._reopening is not None:
            self._reopening.cancel()
        if self._begun:
            with contextlib.suppress(NatsError, OSError):
                await self.client.close()

    async def _open(self, client: Client) -> None:
        async def lost() -> None:
            self._log.warning("stream.disconnected", url=self._url)

        async def back() -> None:
            self.generation += 1
            self._log.info("stream.reconnected", url=self._url)

        async def failed(error: Exception) -> None:
            self._log.debug("stream.error", error=repr(error))

        async def closed() -> None:
            # The client gives up for good where the server answers with an error, as it does when keys are changed.
            if client is self.client and not self._closing and self._reopening is None:
                self._log.warning("stream.refused", url=self._url)
                self._reopening = asyncio.create_task(self._reopen())

        self._begun = True
        connecting = client.connect(
            self._url,
            name=self._name,
            token=self._token or None,
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.25,  # type: ignore[arg-type]  # it sleeps for it: fractions work
            connect_timeout=2,
            disconnected_cb=lost,
            reconnected_cb=back,
            error_cb=failed,
            closed_cb=closed,
        )
        await cancellable(connecting)
        version = client.connected_server_version
        if (version.major, version.minor) < OLDEST_SERVER:
            self.client = Client()  # the next try begins anew
            await client.close()
            wanted = ".".join(map(str, OLDEST_SERVER))
            raise RuntimeError(f"the stream server is nats-server {version}; {wanted} or newer is needed")

    async def _reopen(self) -> None:
        """Connect with another client, for as long as it takes."""
        while not self._closing:
            client = Client()
            try:
                await self._open(client)
            except (NatsError, OSError, TimeoutError, RuntimeError) as error:
                self._log.debug("stream.not_reopened", error=repr(error))
                await asyncio.sleep(REOPEN_S)
            else:
                self.client = client
                self.generation += 1
                self._reopening = None
                self._log.info("stream.reconnected", url=self._url)
                return


async def ensure_stream(
    js: JetStreamContext, stream: Stream, partitions: int = DEFAULT_PARTITIONS, *, limit: bool = False
) -> int:
    """Create `stream` and its consumers where they are missing.

    An existing stream gets the declared subjects, since an earlier version may have made it; it keeps its limits in age
    and bytes unless `limit` says to set the declared ones: for the one service that owns them. Returns the number of
    partitions that the stream was made with.
    """
    try:
        info = await js.stream_info(stream.name)
    except NotFoundError:
        info = await js.add_stream(
            StreamConfig(
                name=stream.name,
                subjects=[stream.subjects],
                retention=RetentionPolicy(stream.retention),
                discard=DiscardPolicy(stream.discard),
                max_bytes=stream.max_bytes,
                max_age=stream.max_age,
                metadata={PARTITIONS_KEY: str(partitions)},
            )
        )
    wanted = info.config.evolve(subjects=[stream.subjects])
    if limit:
        wanted = wanted.evolve(max_bytes=stream.max_bytes, max_age=stream.max_age)
    if wanted != info.config:
        info = await js.update_stream(wanted)
    made_with = partitions_of(info)
    await ensure_consumers(js, stream, made_with)
    return made_with


async def ensure_bucket(js: JetStreamContext, bucket: str, ttl: float = 0) -> KeyValue:
    """Open the key-value bucket, creating it where it is missing; values go after `ttl` seconds, 0: never."""
    try:
        return await js.key_value(bucket)
    except BucketNotFoundError:
        return await js.create_key_value(KeyValueConfig(bucket=bucket, history=1, ttl=ttl))


@contextlib.asynccontextmanager
async def watching(bucket: KeyValue, *, ignore_deletes: bool = False) -> AsyncIterator[KeyValue.KeyWatcher]:
    """Watch all of a bucket; leaving it ends the watch, quietly.

    Where the connection is closed there is none to end, and that error must not take the place of a cancellation:
    whoever is cancelled would go on.
    """
    watcher = await bucket.watchall(ignore_deletes=ignore_deletes)
    try:
        yield watcher
    finally:
        with contextlib.suppress(NatsError):
            await watcher.stop()  # type: ignore[no-untyped-call]


class Publisher:
    """Publishes and waits for the stream's own acknowledgement, for many messages at once."""

    def __init__(self, link: Link, timeout: float = 5.0) -> None:
        self._link, self._timeout = link, timeout
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._tokens = itertools.count()
        self._client: Client | None = None
        self._inbox = ""

    async def start(self) -> None:
        """Listen for acknowledgements on the link's connection; a second time does nothing."""
        client = self._link.client
        if self._client is client:
            return
        self._client, self._inbox = client, client.new_inbox()
        await client.subscribe(f"{self._inbox}.*", cb=self._answered)

    async def publish(self, subject: str, data: bytes, keep_s: int = 0, name: str = "") -> None:
        """Return once the stream has stored `data`, to keep it for `keep_s` seconds; 0: for as long as it keeps any.

        Raises NotAcknowledgedError; it may have been stored even so. Only a bucket's stream takes a `keep_s`. Of the
        messages that have the same `name`, and come within two minutes, the stream stores the first.
        """
        headers = {Header.MSG_TTL.value: str(keep_s)} if keep_s else {}
        if name:
            headers[Header.MSG_ID.value] = name
        token = str(next(self._tokens))
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[token] = answer
        try:
            async with asyncio.timeout(self._timeout):
                await self.start()
                await self._link.client.publish(subject, data, reply=f"{self._inbox}.{token}", headers=headers or None)
                await answer
        except (TimeoutError, NatsError) as error:
            raise NotAcknowledgedError(f"{subject}: {error or 'no answer from the stream server'}") from error
        finally:
            del self._waiting[token]

    async def _answered(self, message: Msg) -> None:
        waiting = self._waiting.get(message.subject.rpartition(".")[2])
        if waiting is None or waiting.done():
            return
        if message.headers and message.headers.get("Status"):
            waiting.set_exception(NoStreamError(f"no stream takes this subject ({message.headers['Status']})"))
        elif (error := json.loads(message.data).get("error")) is not None:
            waiting.set_exception(NotAcknowledgedError(error.get("description", "refused")))
        else:
            waiting.set_result(None)


class OrderedReader:
    """Reads one durable consumer strictly in order, each message once, from what was last acknowledged.

    A consumer hands out what an earlier reader left unacknowledged only after its ack wait, and behind newer
    messages. So the reader first resets the consumer to its acknowledged floor, and does so again on each sign that
    the order is broken: a redelivery, a gap, a new connection. The caller then sees messages again that it has not
    acknowledged, in order. One reader a consumer at a time. `resets` grows with each reset: messages from before it
    must not be acknowledged any more.
    """

    def __init__(self, link: Link, stream: str, consumer: str, ahead: int = 256) -> None:
        self._link, self._stream, self._consumer, self._ahead = link, stream, consumer, ahead
        self._queue: asyncio.Queue[Msg] = asyncio.Queue()
        self._asked = 0  # messages asked for and not handed out yet
        self._asked_at = 0.0
        self._last = 0  # consumer sequence of the last message handed out
        self._generation = -1
        self.resets = 0
        self._unsubscribe: Callable[[], Awaitable[None]] | None = None
        self._inbox = ""

    async def read(self, wait: float = 5.0) -> list[Msg]:
        """Return the messages that are there, in order; waits up to `wait` seconds for the first.

        Empty if none came. Raises ConsumerGoneError if the consumer has been deleted, and other nats errors if the
        server or the stream is away; call again.
        """
        if self._generation != self._link.generation or self._unsubscribe is None:
            await self._reset()
        await self._ask()
        messages: list[Msg] = []
        try:
            async with asyncio.timeout(wait):
                first = await self._queue.get()
        except TimeoutError:
            if asyncio.get_running_loop().time() - self._asked_at > 2 * PULL_EXPIRES_S:
                self._generation = -1  # not even the end of the request was heard
            return messages
        for message in itertools.chain([first], iter(self._take, None)):
            if message.headers and "Status" in message.headers:
                self._asked = self._queue.qsize()  # a request has ended: ask anew
                if message.headers["Status"] != _EXPIRED:
                    self._generation = -1  # the consumer is gone, or moved: find out at the next read
                continue
            sequence = message.metadata.sequence
            if sequence is None or message.metadata.num_delivered != 1 or sequence.consumer != self._last + 1:
                self._generation = -1  # out of order: start again from the floor
                break
            self._last = sequence.consumer
            self._asked -= 1
            messages.append(message)
        return messages

    async def close(self) -> None:
        """Stop reading; what is not acknowledged comes to the next reader."""
        unsubscribe, self._unsubscribe = self._unsubscribe, None
        if unsubscribe is not None:
            with contextlib.suppress(NatsError):  # a connection that is closed for good has nothing to end
                await unsubscribe()

    def _take(self) -> Msg | None:
        return None if self._queue.empty() else self._queue.get_nowait()

    async def _reset(self) -> None:
        await self.close()
        generation = self._link.generation
        client = self._link.client
        try:  # for a consumer that is gone a reset gets no answer
            await self._link.js.consumer_info(self._stream, self._consumer)
        except NotFoundError as missing:
            if missing.err_code == _NO_CONSUMER:
                raise ConsumerGoneError(missing.code, missing.description, missing.err_code) from missing
            raise
        self.resets += 1  # before the answer: what is acknowledged meanwhile would be counted in the new order
        answer = await client.request(f"$JS.API.CONSUMER.RESET.{self._stream}.{self._consumer}", b"", timeout=5)
        if (error := json.loads(answer.data).get("error")) is not None:
            raise NotFoundError(code=error.get("code"), description=error.get("description"))
        self._queue, self._asked, self._last = asyncio.Queue(), 0, 0
        self._inbox = client.new_inbox()
        queue = self._queue

        async def arrived(message: Msg) -> None:
            queue.put_nowait(message)

        subscription = await client.subscribe(self._inbox, cb=arrived)
        self._unsubscribe = subscription.unsubscribe
        self._generation = generation

    async def _ask(self) -> None:
        """Keep between half of `ahead` and `ahead` messages asked for: the queue is bounded by that."""
        if self._asked > self._ahead // 2:
            return
        want = self._ahead - self._asked
        self._asked, self._asked_at = self._ahead, asyncio.get_running_loop().time()
        request = json.dumps({"batch": want, "expires": int(PULL_EXPIRES_S * 1e9)}).encode()
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}"
        await self._link.client.publish(subject, request, reply=self._inbox)
