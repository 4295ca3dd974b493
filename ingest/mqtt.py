"""The MQTT session with the broker. Nothing else in ingest knows which client library this is."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from random import Random

from mqttium import MQTTError, MQTTProtocolVersion, NotConnectedError, QoS
from mqttium.api import AsyncClient, Properties, SubscribeOptions
from mqttium.types import Message

from contracts.backoff import delays
from contracts.logs import Log
from ingest.inflight import Inflight
from ingest.metrics import Metrics
from ingest.outcomes import Arrival
from ingest.pipeline import Pipeline
from ingest.settings import Settings

_KEEPALIVE_S = 30
_CONNECT_S = 5.0
_CLOSE_S = 2.0
_STABLE_S = 10.0
_MOST_EXPECTED = 65_535
_MOST_OUTGOING = 1_000
_FAR = 1 << 62  # ns: no time that comes
_EXPECTED_NS = 60_000_000_000
"""How long after a reconnection, a stall or its own acknowledgement a message is expected to come again."""

_IF_NEW = 1  # MQTT 5: no retained messages when a subscription is only made again


class Session:
    """Keeps a persistent session, hands its messages to the pipeline, and acknowledges what has been stored.

    Each connection has a client of its own. A client that lived on would take a packet identifier for the exchange it
    knew before, and a broker that lost its memory in a crash gives those identifiers to other messages. So what an old
    connection had not acknowledged is left alone here, and the broker, which has not had its PUBACK, sends it again.
    """

    def __init__(
        self,
        settings: Settings,
        pipeline: Pipeline,
        now: Callable[[], int],
        rng: Random,
        metrics: Metrics,
        log: Log,
        filters: Sequence[str],
    ) -> None:
        self._settings, self._pipeline, self._now = settings, pipeline, now
        self._rng, self._metrics, self._log = rng, metrics, log
        self._client: AsyncClient | None = None
        self._wanted = frozenset(filters)
        self._subscribed: frozenset[str] = frozenset()
        self._changed = asyncio.Event()
        self._held: dict[int, tuple[Message, int]] = {}  # packet identifier -> message, and when it was received
        self._newer: dict[int, Message] = {}  # the same, where the broker sent it again meanwhile
        self._before: dict[int, list[int]] = {}  # hash of a message that may come again -> when it was received
        self._before_until = self._stalled_until = 0
        self._up = False

    @property
    def connected(self) -> bool:
        """Whether there is a session with the broker now."""
        return self._up and self._client is not None and self._client.is_connected

    def follow(self, filters: Sequence[str]) -> None:
        """Be subscribed to these filters from now on, and to no others."""
        self._wanted = frozenset(filters)
        self._changed.set()

    def send(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 0, at once; dropped and counted where there is no connection, or too much waits for it."""
        if self._client is None or not self._client.is_connected:
            self._metrics.unsent.labels("disconnected").inc()
            return
        try:
            self._client.publish_nowait(topic, payload)
        except MQTTError as error:
            self._metrics.unsent.labels("full").inc()
            self._log.debug("broker.not_sent", topic=topic, error=repr(error))

    async def run(self) -> None:
        """Connect, and again whenever the connection is lost, until cancelled; `close` then ends the session."""
        loop = asyncio.get_running_loop()
        waits = delays(self._rng)
        reported = ""
        while True:
            await self.close()
            self._forget()
            began = loop.time()
            try:
                await self._connect()
                reported = ""
                following = asyncio.create_task(self._follow())
                try:
                    await self._receive()
                finally:
                    following.cancel()
                    await asyncio.gather(following, return_exceptions=True)
                self._log.warning("broker.disconnected", error=self._why())
            except (MQTTError, OSError) as error:
                if str(error) != reported:
                    reported = str(error)
                    self._log.warning("broker.unreachable", host=self._settings.mqtt_host, error=reported)
            self._up = False
            if loop.time() - began > _STABLE_S:
                waits = delays(self._rng)
            await asyncio.sleep(next(waits))

    async def close(self) -> None:
        """End the connection; the broker keeps the session. A second time does nothing."""
        client, self._client = self._client, None
        self._up = False
        if client is None:
            return
        try:
            async with asyncio.timeout(_CLOSE_S):
                await client.disconnect()
        except (MQTTError, OSError) as error:
            self._log.debug("broker.not_closed", error=repr(error))

    async def acknowledge(self, receipts: list[object]) -> None:
        """Send the PUBACKs of stored messages, in the order of their arrival.

        What came over a connection that has gone cannot be acknowledged, and is sent again by the broker.
        """
        held, client = self._held, self._client
        ours: list[tuple[Message, int]] = []
        for receipt in receipts:
            if isinstance(receipt, Message) and receipt.mid is not None:
                entry = held.get(receipt.mid)
                if entry is not None and entry[0] is receipt:
                    del held[receipt.mid]
                    ours.append((self._newer.pop(receipt.mid), entry[1]) if receipt.mid in self._newer else entry)
                else:
                    self._metrics.unacknowledged.inc()
        if client is None or not await self._puback(client, [message for message, _ in ours]):
            self._metrics.unacknowledged.inc(len(ours))
            self._expect(ours)
        elif self._now() < self._stalled_until:
            self._expect(ours)  # copies that the broker sent meanwhile may wait in the client, not yet looked at

    async def _puback(self, client: AsyncClient, messages: list[Message]) -> bool:
        """Send PUBACKs, in the order of `messages`; false if the connection has gone.

        The client keeps back each PUBACK until all earlier ones are given. Given the last first, it writes them all in
        one go with the first, in the order of arrival; the other way round it would write them one by one.
        """
        for message in reversed(messages):
            try:
                await client.ack(message)
            except NotConnectedError:
                return False
            except MQTTError as error:
                self._metrics.unacknowledged.inc()
                self._log.debug("broker.not_acknowledged", error=repr(error))
        return True

    async def _connect(self) -> None:
        client = self._client = self._new_client()
        answer = await client.connect(self._settings.mqtt_host, self._settings.mqtt_port)
        # A session that the broker kept has its subscriptions; but not if an earlier run died before making them.
        if not answer.session_present:
            self._subscribed = frozenset()
        await self._reconcile(client)
        if not answer.session_present:
            self._before.clear()  # nothing comes again from a broker that has forgotten us
        self._before_until = self._now() + _EXPECTED_NS
        self._up = True
        self._metrics.connections.inc()
        self._log.info(
            "broker.connected",
            host=self._settings.mqtt_host,
            port=self._settings.mqtt_port,
            session_present=answer.session_present,
        )

    async def _reconcile(self, client: AsyncClient) -> None:
        """Make the subscriptions those that are wanted."""
        self._changed.clear()
        wanted = self._wanted
        if new := sorted(wanted - self._subscribed):
            options = SubscribeOptions(
                QoS.AT_LEAST_ONCE, retain_handling=_IF_NEW if self._settings.mqtt_protocol == "5" else 0
            )
            await client.subscribe([(topic, options) for topic in new], timeout=_CONNECT_S)
        if old := sorted(self._subscribed - wanted):
            await client.unsubscribe(old, timeout=_CONNECT_S)
        self._subscribed = wanted

    async def _follow(self) -> None:
        """Reconcile whenever other filters are wanted; where that fails, the connection is ended and made again."""
        while True:
            await self._changed.wait()
            client = self._client
            if client is None:
                return
            try:
                await self._reconcile(client)
            except MQTTError as error:
                self._changed.set()
                self._log.warning("broker.not_subscribed", error=str(error))
                with contextlib.suppress(MQTTError):
                    await client.disconnect()
                return

    def _new_client(self) -> AsyncClient:
        settings = self._settings
        five = settings.mqtt_protocol == "5"
        return AsyncClient(
            settings.client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            clean_start=False,
            keepalive=_KEEPALIVE_S,
            username=settings.mqtt_username or None,
            password=settings.mqtt_password.get_secret_value() or None,
            connect_properties=(
                Properties({"session_expiry_interval": settings.session_expiry_seconds}) if five else None
            ),
            manual_ack=True,
            store=Inflight(),
            # MQTT 5 tells the broker this window. With 3.1.1 the broker has its own, and what it sends beyond ours
            # waits in the iterator, then in the socket.
            max_inbound_inflight=settings.receive_window if five else None,
            max_iterator_messages=settings.receive_window,
            max_iterator_bytes=settings.receive_window_bytes,
            max_write_queue_messages=2 * 65_536 + _MOST_OUTGOING,
            connect_timeout=_CONNECT_S,
        )

    async def _receive(self) -> None:
        """Hand over each message, until the connection ends."""
        client, pipeline, now, held = self._client, self._pipeline, self._now, self._held
        if client is None:
            return
        async for message in client.messages():
            # Step 1. A message arrives from the broker, and is stamped with the time.
            mid = message.mid
            received = now()
            if mid is not None:
                if message.dup and self._before:
                    received = self._received_before(message, received)
                if mid in held and self._is_repeat(mid, message):
                    continue
                held[mid] = message, received
            pipeline.take(Arrival(message.topic, message.payload, received, message.retain), message)
            if pipeline.full:
                self._stalled_until = _FAR
                await pipeline.room()
                self._stalled_until = now() + _EXPECTED_NS

    def _is_repeat(self, mid: int, message: Message) -> bool:
        """Whether this is the message we hold under `mid`, sent again because its PUBACK is so long in coming.

        The acknowledgement then goes to the newer copy, which is the one that the broker waits for.
        """
        first = self._held[mid][0]
        if first.topic != message.topic or first.payload != message.payload:
            return False
        self._newer[mid] = message
        self._metrics.redelivered.inc()
        return True

    def _forget(self) -> None:
        """Let go of what a lost connection leaves unacknowledged: it can only be acknowledged when it comes again."""
        self._expect(list(self._held.values()))
        self._held.clear()
        self._newer.clear()

    def _expect(self, messages: list[tuple[Message, int]]) -> None:
        """Keep when messages were received that the broker may send again.

        They are stored from here all the same. A reading without a time of its own must then get the same one again,
        or it would be stored as two.
        """
        now = self._now()
        if now > self._before_until or sum(map(len, self._before.values())) > _MOST_EXPECTED:
            self._before.clear()
        self._before_until = now + _EXPECTED_NS
        for message, received in messages:
            self._before.setdefault(hash((message.topic, message.payload)), []).append(received)

    def _received_before(self, message: Message, received: int) -> int:
        """When a message that is sent again was received first, or else `received`.

        What was expected too long ago is forgotten: a later message may well say the same, and must keep its own time.
        """
        if received > self._before_until:
            self._before.clear()
        key = hash((message.topic, message.payload))
        times = self._before.get(key)
        if not times:
            return received
        first = times.pop(0)
        if not times:
            del self._before[key]
        return first

    def _why(self) -> str:
        return (self._client.stats().last_disconnect_error if self._client else None) or "closed by the broker"
