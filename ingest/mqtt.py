"""The MQTT session with the broker. Nothing else in ingest knows how that is spoken."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from contracts.backoff import delays
from contracts.broker import tls_of
from contracts.logs import Log
from ingest.connection import BrokerError, Connection, connect
from ingest.inflight import Inflight, Receipt
from ingest.metrics import Metrics
from ingest.outcomes import Arrival
from ingest.packets import Publish
from ingest.pipeline import Pipeline
from ingest.requests import Connect, Will
from ingest.settings import Settings
from ingest.subscriptions import Memory, Subscriptions
from ingest.watermark import Watermark

_KEEP_ALIVE_S = 30
_STABLE_S = 10.0


class Session:
    """Keeps a persistent session, hands its messages to the pipeline, and acknowledges what has been stored.

    Messages beyond what the pipeline holds wait here; the socket is read as long as there are no more of them than
    `receive_window`, and no more than `receive_window_bytes`.
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
        self._five = settings.mqtt_protocol == "5"
        self._status_topic = settings.mqtt_status_topic.replace("{client_id}", settings.client_id)
        self._subscriptions = Subscriptions(filters, settings.shared_group, settings.client_id, log)
        self._inflight = Inflight()
        self._connection: Connection | None = None
        self._waiting: deque[tuple[Arrival, Receipt | None]] = deque()
        self._waiting_bytes = 0
        self._left = 0  # of those, how many came over a connection that has ended
        self._ended_at = 0
        self._more = asyncio.Event()
        self._keep_alive_s = _KEEP_ALIVE_S
        self.watermark = Watermark()

    @property
    def connected(self) -> bool:
        """Whether there is a session with the broker now, and it has all our subscriptions."""
        return not self.waiting_for()

    def waiting_for(self) -> tuple[str, ...]:
        """Name what is missing of a session."""
        if self._connection is None or not self._connection.open:
            return ("broker",)
        return self._subscriptions.missing

    def heard(self) -> int:
        """Up to when all that the broker had for us is on the stream; to be asked each second."""
        now, connection = self._now(), self._connection
        sign = 0
        if connection is not None and self.connected and (sign := connection.answered_at):
            oldest = [self._pipeline.oldest, self._waiting[0][0].received if self._waiting else 0]
            sign = min(sign, *(received for received in oldest if received), now)
        if connection is not None and connection.open:
            connection.ask(now)
        return self.watermark.note(sign, now)

    def follow(self, filters: Sequence[str], alone: Sequence[str] = ()) -> None:
        """Be subscribed to these filters from now on, and to no others; to those in `alone` outside of the group."""
        self._subscriptions.follow(filters, alone)

    def send(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 0, at once; dropped and counted where there is no connection, or too much waits for it."""
        try:
            if self._connection is None or not self._connection.open:
                self._metrics.unsent.labels("disconnected").inc()
            elif not self._connection.send(topic, payload):
                self._metrics.unsent.labels("full").inc()
        except ValueError as error:
            self._metrics.unsent.labels("bad_topic").inc()
            self._log.debug("broker.not_sent", error=str(error))

    async def run(self, memory: Memory) -> None:
        """Connect, and again whenever the connection is lost, until cancelled; `close` then ends the session."""
        loop = asyncio.get_running_loop()
        waits = delays(self._rng)
        reported = ""
        while True:
            await self.close()
            self._forget()
            began = loop.time()
            try:
                session_present = await self._connect()
                reported = ""
                why = await self._serve(memory, session_present=session_present)
                self._log.warning("broker.disconnected", error=why)
            except (BrokerError, OSError) as error:
                if str(error) != reported:
                    reported = str(error)
                    self._log.warning("broker.unreachable", host=self._settings.mqtt_host, error=reported)
            if loop.time() - began > _STABLE_S:
                waits = delays(self._rng)
            await asyncio.sleep(next(waits))

    async def hand_over(self) -> None:
        """Let the pipeline have what waits, as there is room for it."""
        while self._waiting:
            await self._pipeline.room()
            while self._waiting and not self._pipeline.full:
                arrival, receipt = self._waiting.popleft()
                self._waiting_bytes -= len(arrival.payload) + len(arrival.topic)
                self._pipeline.take(arrival, receipt)
                if self._left:
                    self._left -= 1
                    self._doubt()

    async def close(self) -> None:
        """End the connection; the broker keeps the session. A second time does nothing."""
        connection, self._connection = self._connection, None
        self._subscriptions.lost()
        if connection is not None:
            if self._status_topic and connection.open:
                connection.send(self._status_topic, b"offline", retain=True)
            await connection.close()

    async def acknowledge(self, receipts: list[object]) -> None:
        """Send the PUBACKs of stored messages, in the order of their arrival.

        What came over a connection that has gone cannot be acknowledged, and is sent again by the broker.
        """
        acks, gone = self._inflight.settle(receipts, self._now())
        if gone:
            self._metrics.unacknowledged.inc(gone)
        if acks and self._connection is not None:
            self._connection.acknowledge(acks)

    def _arrived(self, publish: Publish) -> None:
        """Take a message, or keep it until there is room."""
        # Step 1. A message arrives from the broker, and is stamped with the time.
        if self._subscriptions.watching and self._subscriptions.is_ours(publish.topic):
            return
        inflight = self._inflight
        receipt = None
        if publish.ack:
            if inflight.is_repeat(publish):
                self._metrics.redelivered.inc()
                return
            received = self._now()
            if publish.dup:
                received = inflight.received(publish, received)
            arrival = _arrival(publish, received)
            receipt = Receipt(publish.ack, arrival)
            inflight.hold(receipt)
        else:
            arrival = _arrival(publish, self._now())
        if self._waiting or self._pipeline.full:
            self._wait(arrival, receipt)
        else:
            self._pipeline.take(arrival, receipt)

    def _wait(self, arrival: Arrival, receipt: Receipt | None) -> None:
        """Let a message wait for room, and the broker too if there are many."""
        self._waiting.append((arrival, receipt))
        self._waiting_bytes += len(arrival.payload) + len(arrival.topic)
        self._more.set()
        settings = self._settings
        if self._connection is not None and (
            len(self._waiting) >= settings.receive_window or self._waiting_bytes >= settings.receive_window_bytes
        ):
            self._connection.pause()

    async def _relieve(self, connection: Connection) -> None:
        """Hand over what waits as there is room for it, and read on when nothing waits; until cancelled."""
        while True:
            await self._more.wait()
            await self.hand_over()
            self._more.clear()
            connection.resume()

    def _forget(self) -> None:
        """Let go of what a lost connection leaves unacknowledged. What nobody sends again stays."""
        self._inflight.lost(self._now())
        self._waiting = deque(waiting for waiting in self._waiting if waiting[1] is None)
        self._waiting_bytes = sum(len(arrival.payload) + len(arrival.topic) for arrival, _ in self._waiting)
        self._left, self._ended_at = len(self._waiting), self._now()
        self._doubt()

    def _doubt(self) -> None:
        """Say, after the last message of one connection and before the first of the next, that some may be missing."""
        if not self._left:
            self._pipeline.doubt(self._ended_at)

    async def _connect(self) -> bool:
        """Begin a connection; returns whether the broker has kept the session. Raises BrokerError or OSError."""
        settings = self._settings
        will = Will(self._status_topic, b"offline") if self._status_topic else None
        greeting = Connect(
            settings.client_id,
            five=self._five,
            keep_alive_s=_KEEP_ALIVE_S,
            username=settings.mqtt_username,
            password=settings.mqtt_password.get_secret_value(),
            will=will,
            expiry_s=settings.session_expiry_seconds,
            receive_maximum=settings.receive_window,
        )
        connection = self._connection = await connect(
            settings.mqtt_host, settings.mqtt_port, self._arrived, five=self._five, tls=tls_of(settings)
        )
        answer = await connection.greet(greeting)
        if settings.shared_group and not answer.shared:
            raise BrokerError("it has no shared subscriptions")
        self._inflight.resumed(self._now(), session_present=answer.session_present)
        self.watermark.connected(self._now(), session_present=answer.session_present)
        self._keep_alive_s = _KEEP_ALIVE_S if answer.keep_alive_s is None else answer.keep_alive_s
        if self._status_topic:
            connection.send(self._status_topic, b"online", retain=True)
        self._metrics.connections.inc()
        self._log.info(
            "broker.connected",
            host=settings.mqtt_host,
            port=settings.mqtt_port,
            session_present=answer.session_present,
        )
        return answer.session_present

    async def _serve(self, memory: Memory, *, session_present: bool) -> str:
        """Serve a connection until it ends, and return why it did. When cancelled, nothing more is taken from it."""
        connection = self._connection
        if connection is None:
            return "closed"
        tasks = [
            asyncio.create_task(connection.keep_alive(self._keep_alive_s)),
            asyncio.create_task(self._relieve(connection)),
            asyncio.create_task(self._subscriptions.keep(connection, memory, session_present=session_present)),
        ]
        try:
            ended: list[asyncio.Future[Any]] = [connection.ended, *tasks]
            await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
            return await connection.ended
        finally:
            connection.pause()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _arrival(publish: Publish, received: int) -> Arrival:
    if publish.properties is None:
        return Arrival(publish.topic, publish.payload, received, publish.retain)
    return Arrival(publish.topic, publish.payload, received, publish.retain, properties=publish.properties)
