"""A device's session by paho-mqtt, the client that devices run themselves: driven by asyncio, and kept up.

It costs many times what the native one does. paho itself sends again, after a reconnection, what the broker had not
acknowledged, unless it is to be stamped anew. What is given while there is no connection waits here, so that it follows
those in order.
"""

import asyncio
import struct
from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from socket import SHUT_RD, SO_LINGER, SOL_SOCKET
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from contracts.backoff import delays, set_within
from contracts.logs import Log
from simulators.connections.native import CONNECT_S
from simulators.connections.outlet import Connect, Line, Listener, Outgoing
from simulators.connections.parties import USUAL, Broker, Login, Options
from simulators.plan.batch import RETAIN

_TICK_S = 1.0
_CAP_S = 2.0


def connecting(
    broker: Broker,
    *,
    login: Callable[[Line], Login | None],
    now: Callable[[], int],
    rng: Random,
    log: Log,
    options: Options = USUAL,
) -> Connect:
    """Give what makes connections to `broker` by paho; `login` is asked for each."""
    gate = asyncio.Semaphore(options.at_once)

    def connect(line: Line, listener: Listener) -> PahoConnection:
        return PahoConnection(line, listener, login(line), options, broker=broker, gate=gate, now=now, rng=rng, log=log)

    return connect


class PahoConnection:
    """An Outlet. What it says was sent, paho has taken; the operating system may not have all of it yet."""

    def __init__(  # noqa: PLR0913 - keyword-only
        self,
        line: Line,
        listener: Listener,
        login: Login | None,
        options: Options,
        *,
        broker: Broker,
        gate: asyncio.Semaphore,
        now: Callable[[], int],
        rng: Random,
        log: Log,
    ) -> None:
        self._line, self._listener, self._login, self._broker, self._gate = line, listener, login, broker, gate
        self._now, self._rng, self._log = now, rng, log
        self._window, self._keepalive = options.window, options.keepalive
        self._first: deque[Outgoing] = deque()  # given while the listener heard of the connection
        self._waiting: deque[Outgoing] = deque()
        self._again: deque[Outgoing] = deque()  # to be stamped anew
        self._flying: dict[int, Outgoing] = {}  # by packet id
        self._acked: list[int] = []
        self._task: asyncio.Task[None] | None = None
        self._lost, self._stopping, self._idle = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._socket: Any = None
        self._opening = self._silent = False
        self._rate = 0.0
        self._back_at = self._wrong_until = 0.0
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._up = False
        self._client = self._make()
        self.trouble = "not started"

    def _make(self) -> Client:
        line, broker = self._line, self._broker
        client = Client(CallbackAPIVersion.VERSION2, line.client_id, clean_session=not line.kept)
        client.max_inflight_messages = 0  # the window is kept here; paho's costs a walk over it for each PUBACK
        client.connect_timeout = CONNECT_S
        if broker.tls is not None:
            client.tls_set_context(broker.tls)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_register_write
        client.on_socket_unregister_write = self._on_unregister_write
        return client

    @property
    def up(self) -> bool:
        """Whether the broker has accepted a connection that is not lost, as far as it knows."""
        return self._up

    @property
    def unacked(self) -> int:
        """How many messages were given to it and are not acknowledged, those not yet sent included."""
        return len(self._flying) + len(self._again) + len(self._first) + len(self._waiting)

    def start(self) -> None:
        """Connect in the background, and stay connected."""
        if self._task is None:
            self._task = asyncio.create_task(self._stay_connected(), name=f"mqtt {self._line.client_id}")

    def send(self, messages: Sequence[Outgoing]) -> None:
        """Publish at QoS 1, now or when there is a connection."""
        if self._opening:
            self._first.extend(messages)
        else:
            self._waiting.extend(messages)
            self._flush()

    def act(self, kind: str, seconds: float, amount: float) -> None:
        """Let something happen to the connection for `seconds`; one that is not there cannot be hurt."""
        until = asyncio.get_running_loop().time() + seconds
        if kind == "away":
            self._back_at = until
        if kind == "wrong_credentials":
            self._wrong_until = until
        if self._socket is None or not self._up:
            return
        match kind:
            case "drop" | "wrong_credentials":
                self._reset()
            case "silent":
                self._silent = True
                self._unwatch()
                self._after(kind, seconds, self._recover)
            case "slow":
                self._rate = amount
                self._after(kind, seconds, self._recover)
            case "away":
                self._client.disconnect()

    async def stop(self, seconds: float) -> None:
        """Wait up to `seconds` for acknowledgements, disconnect, and release everything."""
        task, self._task = self._task, None
        if task is None:
            return
        self._recover()
        if self.unacked:
            self._idle.clear()
            await set_within(self._idle, seconds)
        self._stopping.set()
        self._lost.set()
        await task
        self._client.disconnect()
        if self._client.socket() is not None:
            self._client.loop_write()
        self._detach()
        self._gone("left")

    async def _stay_connected(self) -> None:
        loop, waits = asyncio.get_running_loop(), delays(self._rng, cap=_CAP_S)
        while not self._stopping.is_set():
            if self._back_at > loop.time():
                await set_within(self._stopping, self._back_at - loop.time())
                continue
            self._lost.clear()
            if self._line.stamp is not None:
                self._begin_anew()
            self._client.connect_async(self._broker.host, self._broker.port, self._keepalive)
            self._identify(wrong=self._wrong_until > loop.time())
            try:
                async with self._gate:
                    if self._stopping.is_set():
                        break
                    await asyncio.to_thread(self._client.reconnect)  # it resolves names and connects: both block
            except OSError as error:
                self.trouble = str(error)
            else:
                self._attach()
                if await self._while_connected():
                    waits = delays(self._rng, cap=_CAP_S)
            await set_within(self._stopping, next(waits))

    def _begin_anew(self) -> None:
        """Forget the session, and keep what was not acknowledged in it."""
        self._waiting.extendleft(reversed(self._first))
        self._again.extendleft(reversed(self._flying.values()))
        self._first.clear()
        self._flying.clear()
        self._client = self._make()

    def _identify(self, *, wrong: bool) -> None:
        will, login = self._line.will(), self._login
        if will is not None:
            self._client.will_set(will.topic.decode(), will.payload, qos=1, retain=will.retain)
        if wrong:
            login = Login(login.username if login else self._line.client_id, "wrong")
        if login is not None:
            self._client.username_pw_set(login.username, login.password)

    async def _while_connected(self) -> bool:
        """Do paho's housekeeping until the connection is lost; returns whether the broker had accepted it."""
        accepted = False
        while not (self._lost.is_set() or self._stopping.is_set()):
            await set_within(self._lost, _TICK_S)
            accepted = accepted or self._up
            if not self._silent:
                self._client.loop_misc()
        return accepted

    def _attach(self) -> None:
        self._socket = self._client.socket()
        if self._socket is None:
            self._lost.set()
            return
        self._watch()

    def _watch(self) -> None:
        asyncio.get_running_loop().add_reader(self._socket, self._read)
        if self._client.want_write():
            self._on_register_write()

    def _unwatch(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        loop.remove_writer(self._socket)

    def _detach(self) -> None:
        if self._socket is None:
            return
        self._unwatch()
        self._socket = None
        self._silent, self._rate = False, 0.0
        self._cancel()
        self._lost.set()

    def _gone(self, why: str) -> None:
        self._lost.set()
        if self._up:
            self._up, self.trouble = False, why
            self._listener.lost(self, why)

    def _read(self) -> None:
        sock = self._socket
        self._client.loop_read()
        while self._socket is sock and self._broker.tls is not None and sock.pending():
            self._client.loop_read()  # what TLS has already read wakes nobody
        if self._acked:
            numbers, self._acked = self._acked, []
            self._listener.acked(numbers, self._now())
            self._flush()
            if not self.unacked:
                self._idle.set()

    def _flush(self) -> None:
        sent: list[int] = []
        while self._up and not self._silent and len(self._flying) < self._window and "pace" not in self._timers:
            queue = self._first or self._again or self._waiting
            if not queue:
                break
            message = queue.popleft()
            [(number, topic, payload, flags)] = self._line.stamped([message])
            while True:
                info = self._client.publish(topic.decode(), payload, qos=1, retain=bool(flags & RETAIN))
                if info.rc != MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
                    break  # else this packet id is one of a message that is still unacknowledged: take the next
            self._flying[info.mid] = message
            if queue is not self._again:
                sent.append(number)
            if self._rate:
                self._after("pace", (len(topic) + len(payload)) / self._rate, self._next)
        if sent:
            self._listener.sent(sent, self._now())

    def _next(self) -> None:
        self._timers.pop("pace", None)
        self._flush()

    def _recover(self) -> None:
        silent, self._silent, self._rate = self._silent, False, 0.0
        self._cancel()
        if silent and self._socket is not None:
            self._watch()
        self._flush()

    def _reset(self) -> None:
        self._socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))  # so that closing it resets
        self._socket.shutdown(SHUT_RD)  # so that paho closes it
        self._read()

    def _cancel(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _after(self, name: str, seconds: float, what: Callable[[], None]) -> None:
        if name in self._timers:
            self._timers[name].cancel()
        self._timers[name] = asyncio.get_running_loop().call_later(seconds, what)

    # paho calls what follows: in the loop's thread, except while `reconnect` runs, when `_socket` is None.

    def _on_connect(
        self, client: Client, _: object, __: ConnectFlags, reason: ReasonCode, ___: Properties | None
    ) -> None:
        if reason.is_failure:
            self.trouble = f"refused: {reason}"
            return
        self._up, self.trouble = True, ""
        if self._line.subscriptions:
            client.subscribe([(topic, 1) for topic in self._line.subscriptions])
        self._opening = True
        try:
            self._listener.connected(self)
        finally:
            self._opening = False
        # After this callback paho sends again what was unacknowledged; only then may the rest follow.
        asyncio.get_running_loop().call_soon(self._flush)

    def _on_disconnect(
        self, _: Client, __: object, ___: DisconnectFlags, reason: ReasonCode, ____: Properties | None
    ) -> None:
        self._gone(str(reason))

    def _on_publish(self, _: Client, __: object, packet_id: int, ___: ReasonCode, ____: Properties) -> None:
        message = self._flying.pop(packet_id, None)
        if message is not None:
            self._acked.append(message[0])

    def _on_message(self, _: Client, __: object, message: MQTTMessage) -> None:
        self._listener.received(self, message.topic, bytes(message.payload))

    def _on_socket_close(self, *_: object) -> None:
        self._detach()

    def _on_register_write(self, *_: object) -> None:
        if self._socket is not None and not self._silent:
            asyncio.get_running_loop().add_writer(self._socket, self._client.loop_write)

    def _on_unregister_write(self, *_: object) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_writer(self._socket)
