"""The MQTT broker for a service that only publishes: one connection, kept up, and messages that it acknowledges.

paho-mqtt works in a thread of its own; what it tells is handed to the event loop. Each connection is a client and a
session of its own, so that nothing is sent again behind the back of whoever was told that it failed.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from random import Random

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from contracts.backoff import delays, set_within
from contracts.broker import BrokerSettings, tls_of
from contracts.logs import Log

NAME = "broker"
AT_ONCE = 256
"""Most messages that wait for the broker's acknowledgement; who publishes more waits for room."""
ACK_S = 5.0
"""A broker that acknowledges nothing for so long is given up, and connected to again."""

_KEEPALIVE_S = 15
_CONNECT_S = 2.0


class Publisher:
    """Publishes at QoS 1. Without a host there is no broker: then nothing can be published.

    `service` is what its clients are named after; `away` makes, from NAME, the error that `publish` raises.
    """

    def __init__(
        self, settings: BrokerSettings, rng: Random, log: Log, service: str, away: Callable[[str], Exception]
    ) -> None:
        self._settings, self._rng, self._log, self._service, self._away = settings, rng, log, service, away
        self._client: Client | None = None  # once the broker has accepted it
        self._lost, self._stopping = asyncio.Event(), asyncio.Event()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._waiting: dict[int, asyncio.Future[None]] = {}

    @property
    def up(self) -> bool:
        """Whether there is a connection now."""
        return self._client is not None

    def waiting_for(self) -> list[str]:
        """Name the broker if it is missing."""
        return [NAME] if self._settings.mqtt_host and not self.up else []

    def finish(self) -> None:
        """Let `run` return; what is not acknowledged by then fails."""
        self._stopping.set()
        self._lost.set()

    async def run(self) -> None:
        """Stay connected until `finish`."""
        waits = delays(self._rng)
        while self._settings.mqtt_host and not self._stopping.is_set():
            if await self._one_connection():
                waits = delays(self._rng)
            await set_within(self._stopping, next(waits))

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Return once the broker has acknowledged the message.

        Raises what `away` makes where it cannot be reached or does not answer; it may have the message even so.
        """
        async with self._room:
            if self._client is None:
                raise self._away(NAME)
            sent = self._client.publish(topic, payload, qos=1, retain=retain)
            if sent.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise self._away(NAME)
            answer = self._waiting[sent.mid] = asyncio.get_running_loop().create_future()
            lost = self._lost
            try:
                async with asyncio.timeout(ACK_S):
                    await answer
            except TimeoutError as error:
                lost.set()
                raise self._away(NAME) from error
            finally:
                if self._waiting.get(sent.mid) is answer:
                    del self._waiting[sent.mid]

    async def _one_connection(self) -> bool:
        """Connect, and wait until the connection is lost; says whether the broker had accepted it."""
        lost = self._lost = asyncio.Event()
        accepted = asyncio.Event()
        try:
            client = self._new_client(lost, accepted)
        except OSError as error:
            self._log.warning("mqtt.certificates_unreadable", error=str(error))
            return False
        host, port = self._settings.mqtt_host, self._settings.mqtt_port
        # It looks names up, connects and shakes hands: all of that blocks.
        connecting = asyncio.ensure_future(asyncio.to_thread(client.connect, host, port, _KEEPALIVE_S))
        try:
            await asyncio.shield(connecting)
            client.loop_start()
            if not self._stopping.is_set():
                await lost.wait()
        except (OSError, ValueError) as error:  # ValueError: a name that cannot be one
            self._log.debug("mqtt.unreachable", error=str(error))
        finally:
            self._client = None
            await asyncio.gather(connecting, return_exceptions=True)
            with contextlib.suppress(OSError):
                client.disconnect()
            await asyncio.to_thread(client.loop_stop)
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(self._away(NAME))
            self._waiting.clear()
        if accepted.is_set():
            self._log.info("mqtt.disconnected")
        return accepted.is_set()

    def _new_client(self, lost: asyncio.Event, accepted: asyncio.Event) -> Client:
        """Build a client for one connection. Raises OSError if a certificate cannot be read."""
        name = f"{self._service}-{self._rng.getrandbits(64):016x}"
        client = Client(CallbackAPIVersion.VERSION2, name, clean_session=True, reconnect_on_failure=False)
        client.max_inflight_messages = 0  # they are bounded here
        client.connect_timeout = _CONNECT_S
        if self._settings.mqtt_username:
            client.username_pw_set(self._settings.mqtt_username, self._settings.mqtt_password.get_secret_value())
        context: ssl.SSLContext | None = tls_of(self._settings)
        if context is not None:
            client.tls_set_context(context)
        loop = asyncio.get_running_loop()

        def told(heard: Callable[[], None]) -> None:
            loop.call_soon_threadsafe(heard)

        def answered(failed: bool, reason: str) -> None:  # noqa: FBT001 - one caller, beside it
            if failed:
                self._log.warning("mqtt.refused", reason=reason)
                lost.set()
            elif not lost.is_set():
                self._client = client
                accepted.set()
                self._log.info("mqtt.connected")

        def acknowledged(packet_id: int) -> None:
            answer = self._waiting.get(packet_id) if self._client is client else None
            if answer is not None and not answer.done():
                answer.set_result(None)

        # The thread calls these.
        client.on_connect = lambda _, __, ___, code, ____: told(lambda: answered(code.is_failure, str(code)))
        client.on_publish = lambda _, __, packet_id, ___, ____: told(lambda: acknowledged(packet_id))
        client.on_disconnect = lambda *_: told(lost.set)
        return client
