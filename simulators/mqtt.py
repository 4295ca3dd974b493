"""One MQTT connection, by paho-mqtt, driven by asyncio and kept up until it is stopped.

paho sends again, after a reconnection, what the broker had not acknowledged. What is published while there is no
connection waits here, so that it follows those in order.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from contracts import topics
from contracts.backoff import delays
from contracts.logs import Log

KEEPALIVE_S = 15
CONNECT_S = 2.0
_TICK_S = 1.0

ONLINE, OFFLINE = b"online", b"offline"


@dataclass(frozen=True)
class Broker:
    """Where the broker is, and how to log in where it wants that."""

    host: str
    port: int
    username: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class _Message:
    topic: str
    payload: bytes
    number: int | None
    retain: bool = False


class Connection:
    """A persistent session that publishes for `devices`, each with its retained status.

    `accepted` is set once the broker has accepted the first connection; `up` tells whether there is one now.
    `acked` is called with the number of each published message once the broker has acknowledged it. The will says
    `offline` where the connection is one device's own; a connection has only one will.
    """

    def __init__(  # noqa: PLR0913 - keyword-only
        self,
        broker: Broker,
        *,
        client_id: str,
        devices: list[str],
        acked: Callable[[int], None],
        reconnected: Callable[[], None],
        window: int,
        rng: Random,
        log: Log,
    ) -> None:
        self._broker, self._devices, self._acked, self._reconnected = broker, devices, acked, reconnected
        self._window, self._rng, self._log, self._client_id = window, rng, log, client_id
        self._backlog: deque[_Message] = deque()
        self._flying: dict[int, int | None] = {}  # MQTT packet id -> number; None: a status
        self._task: asyncio.Task[None] | None = None
        self._lost, self._stopping = asyncio.Event(), asyncio.Event()
        self._socket: Any = None
        self._idle = asyncio.Event()
        self._idle.set()
        self.accepted = asyncio.Event()
        self.up = False
        self.reconnects = 0
        client = Client(CallbackAPIVersion.VERSION2, client_id, clean_session=False)
        client.max_inflight_messages = 0  # the window is kept here; paho's costs a walk over it for each PUBACK
        client.connect_timeout = CONNECT_S
        if broker.username:
            client.username_pw_set(broker.username, broker.password)
        if len(devices) == 1:
            client.will_set(topics.status(devices[0]), OFFLINE, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_register_write
        client.on_socket_unregister_write = self._on_unregister_write
        self._client = client

    @property
    def unacked(self) -> int:
        """How many messages wait for the broker's acknowledgement, those not yet sent included."""
        return len(self._flying) + len(self._backlog)

    @property
    def room(self) -> bool:
        """Whether another message fits the window."""
        return self.unacked < self._window

    def start(self) -> None:
        """Connect in the background, and stay connected."""
        if self._task is None:
            self._task = asyncio.create_task(self._stay_connected(), name=f"mqtt {self._client_id}")

    def publish(self, topic: str, payload: bytes, number: int | None, *, retain: bool = False) -> None:
        """Publish at QoS 1, now or when there is a connection."""
        message = _Message(topic, payload, number, retain)
        self._idle.clear()
        if self.up and not self._backlog:
            self._send(message)
        else:
            self._backlog.append(message)

    async def settle(self, seconds: float) -> bool:
        """Wait until everything is acknowledged; False if it is not within `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        return not self.unacked

    async def stop(self, seconds: float) -> None:
        """Say that the devices are offline, wait up to `seconds` for the acknowledgements, and disconnect."""
        task, self._task = self._task, None
        if task is None:
            return
        if self.up:
            for device in self._devices:
                self.publish(topics.status(device), OFFLINE, None, retain=True)
            await self.settle(seconds)
        self._stopping.set()
        self._lost.set()
        await task
        self._client.disconnect()
        if self._client.socket() is not None:
            self._client.loop_write()
        self._detach()

    async def _stay_connected(self) -> None:
        self._client.connect_async(self._broker.host, self._broker.port, KEEPALIVE_S)
        waits = delays(self._rng, cap=2.0)
        while not self._stopping.is_set():
            self._lost.clear()
            try:
                await asyncio.to_thread(self._client.reconnect)  # it resolves names and connects: both block
            except OSError as error:
                self._log.debug("mqtt.unreachable", client_id=self._client_id, error=str(error))
            else:
                self._attach()
                if await self._while_connected():
                    waits = delays(self._rng, cap=2.0)
            await _wait(self._stopping, next(waits))

    async def _while_connected(self) -> bool:
        """Do paho's housekeeping until the connection is lost; returns whether the broker had accepted it."""
        accepted = False
        while not (self._lost.is_set() or self._stopping.is_set()):
            await _wait(self._lost, _TICK_S)
            accepted = accepted or self.up
            self._client.loop_misc()
        return accepted

    def _attach(self) -> None:
        self._socket = self._client.socket()
        if self._socket is None:
            self._lost.set()
            return
        asyncio.get_running_loop().add_reader(self._socket, self._client.loop_read)
        if self._client.want_write():
            self._on_register_write()

    def _detach(self) -> None:
        if self._socket is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket)
            loop.remove_writer(self._socket)
            self._socket = None
        self.up = False
        self._lost.set()

    def _send(self, message: _Message) -> None:
        while True:
            info = self._client.publish(message.topic, message.payload, qos=1, retain=message.retain)
            if info.rc != MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
                break  # else this packet id is one of a message that is still unacknowledged: take the next
        self._flying[info.mid] = message.number

    def _flush(self) -> None:
        while self.up and self._backlog:
            self._send(self._backlog.popleft())

    # paho calls what follows: in the loop's thread, except while `reconnect` runs, when `_socket` is None.

    def _on_connect(
        self, _: Client, __: object, ___: ConnectFlags, reason: ReasonCode, ____: Properties | None
    ) -> None:
        if reason.is_failure:
            self._log.warning("mqtt.refused", client_id=self._client_id, reason=str(reason))
            return
        if self.accepted.is_set():
            self.reconnects += 1
            self._reconnected()
        self.up = True
        self.accepted.set()
        if None not in self._flying.values() and all(m.number is not None for m in self._backlog):  # else: on its way
            self._backlog.extendleft(
                _Message(topics.status(device), ONLINE, None, retain=True) for device in reversed(self._devices)
            )
            self._idle.clear()
        # After this callback paho sends again what was unacknowledged; only then may the backlog follow.
        asyncio.get_running_loop().call_soon(self._flush)

    def _on_disconnect(
        self, _: Client, __: object, ___: DisconnectFlags, reason: ReasonCode, ____: Properties | None
    ) -> None:
        if self.up:
            self._log.debug("mqtt.disconnected", client_id=self._client_id, reason=str(reason))
        self.up = False
        self._lost.set()

    def _on_publish(self, _: Client, __: object, packet_id: int, ___: ReasonCode, ____: Properties) -> None:
        number = self._flying.pop(packet_id, None)
        if number is not None:
            self._acked(number)
        if not self._flying and not self._backlog:
            self._idle.set()

    def _on_socket_close(self, *_: object) -> None:
        self._detach()

    def _on_register_write(self, *_: object) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().add_writer(self._socket, self._client.loop_write)

    def _on_unregister_write(self, *_: object) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_writer(self._socket)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Wait for `event`, for `seconds` at most."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
