"""The MQTT session with the broker. Nothing else in ingest knows which client library this is."""

import asyncio
from collections.abc import Callable
from functools import partial
from random import Random

from mqttium import MQTTError, MQTTProtocolVersion
from mqttium.api import AsyncClient, Properties
from mqttium.types import Message

from contracts.backoff import delays
from contracts.logs import Log
from contracts.topics import METRIC_FILTER, STATUS_FILTER, TELEMETRY_FILTER
from ingest.metrics import Metrics
from ingest.outcomes import Arrival
from ingest.pipeline import Pipeline
from ingest.settings import Settings

FILTERS = ((TELEMETRY_FILTER, 1), (METRIC_FILTER, 1), (STATUS_FILTER, 1))
SESSION_EXPIRY_S = 7 * 86_400
ITERATOR_BYTES = 64 << 20


class Session:
    """Keeps a persistent session and hands its messages to the pipeline.

    Each connection has a client of its own: what an old one had not acknowledged is forgotten here, and the broker,
    which has not, sends it again. That is the whole of reconnecting.
    """

    def __init__(
        self, settings: Settings, pipeline: Pipeline, now: Callable[[], int], rng: Random, metrics: Metrics, log: Log
    ) -> None:
        self._settings, self._pipeline, self._now = settings, pipeline, now
        self._rng, self._metrics, self._log = rng, metrics, log
        self._client: AsyncClient | None = None
        self.connected = False

    async def run(self) -> None:
        """Connect, and again whenever the connection is lost, until cancelled."""
        waits = delays(self._rng)
        while True:
            client = self._client = self._new_client()
            try:
                await client.connect(self._settings.mqtt_host, self._settings.mqtt_port)
                await client.subscribe(FILTERS)
                waits = delays(self._rng)
                self._up()
                await self._receive(client)
                self._log.warning("broker.disconnected")
            except (MQTTError, OSError, TimeoutError) as error:
                self._log.warning("broker.unreachable", host=self._settings.mqtt_host, error=str(error))
            finally:
                self.connected = False
                self._metrics.connected.set(0)
                await _close(client)
            await asyncio.sleep(next(waits))

    def _new_client(self) -> AsyncClient:
        settings = self._settings
        five = settings.mqtt_protocol == "5"
        window = settings.receive_window
        properties = {"session_expiry_interval": SESSION_EXPIRY_S, "receive_maximum": window}
        return AsyncClient(
            settings.client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            clean_start=False,
            keepalive=30,
            username=settings.mqtt_username or None,
            password=settings.mqtt_password.get_secret_value() or None,
            connect_properties=Properties(properties) if five else None,
            max_inbound_inflight=window if five else None,
            manual_ack=True,
            max_iterator_messages=window,
            max_iterator_bytes=ITERATOR_BYTES,
            connect_timeout=5.0,
        )

    def _up(self) -> None:
        self.connected = True
        self._metrics.connected.set(1)
        self._metrics.connections.inc()
        self._log.info("broker.connected", host=self._settings.mqtt_host, port=self._settings.mqtt_port)

    async def _receive(self, client: AsyncClient) -> None:
        """Step 1. Receive: hand over each message with the time at which it came, until the connection ends."""
        pipeline, now = self._pipeline, self._now
        async for message in client.messages():
            if pipeline.full:
                await pipeline.room()
            arrival = Arrival(message.topic, message.payload, now(), message.retain)
            pipeline.take(arrival, partial(_acknowledge, client, message))


async def _acknowledge(client: AsyncClient, message: Message) -> bool:
    """Send the PUBACK; false if the message's connection has gone."""
    try:
        await client.ack(message)
    except MQTTError:
        return False
    return True


async def _close(client: AsyncClient) -> None:
    try:
        async with asyncio.timeout(2):
            await client.disconnect()
    except (MQTTError, OSError, TimeoutError):
        return  # it is gone either way
