"""A device's session on asyncio's own transports: kept up until it is stopped, many messages to a write."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from random import Random

from contracts.backoff import delays, end, set_within
from contracts.logs import Log
from simulators.connections import packets
from simulators.connections.outlet import Connect, Line, Listener, Outgoing
from simulators.connections.parties import USUAL, Broker, Login, Options
from simulators.connections.wire import Wire
from simulators.plan.batch import DUP

CONNECT_S = 10.0
_LAST_ID = 65_000
_SUBSCRIBE_ID = 65_535
_CHUNK = 256
"""Most messages to a write: few enough that each has its instant, and that the broker may begin."""

_GOODBYE_S = 1.0
_CAP_S = 2.0

Dial = Callable[[Wire], Awaitable[object]]
"""Gives a wire its connection. Raises OSError."""


def tcp(broker: Broker) -> Dial:
    """Connect over TCP, with TLS where the broker has it."""

    async def dial(wire: Wire) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: wire, broker.host, broker.port, ssl=broker.tls)

    return dial


def connecting(
    broker: Broker,
    *,
    login: Callable[[Line], Login | None],
    now: Callable[[], int],
    rng: Random,
    log: Log,
    options: Options = USUAL,
) -> Connect:
    """Give what makes connections to `broker`; `login` is asked for each."""
    gate, dial = asyncio.Semaphore(options.at_once), tcp(broker)

    def connect(line: Line, listener: Listener) -> Connection:
        return Connection(line, listener, login(line), options, dial=dial, gate=gate, now=now, rng=rng, log=log)

    return connect


class Connection:
    """An Outlet with a session that the broker keeps.

    `gate` bounds how many of all connections try to connect at the same time. `trouble` is why there is none, if there
    is none.
    """

    def __init__(  # noqa: PLR0913 - keyword-only
        self,
        line: Line,
        listener: Listener,
        login: Login | None,
        options: Options,
        *,
        dial: Dial,
        gate: asyncio.Semaphore,
        now: Callable[[], int],
        rng: Random,
        log: Log,
    ) -> None:
        self._line, self._login, self._dial, self._listener, self._gate = line, login, dial, listener, gate
        self._now, self._rng, self._log = now, rng, log
        self._window, self._keepalive = options.window, options.keepalive
        self._flying: dict[int, Outgoing] = {}  # by packet id, in the order in which they were first sent
        self._again: list[int] = []  # packet ids of those that are yet to be sent on this connection
        self._first: deque[Outgoing] = deque()  # given while the listener heard of the connection
        self._waiting: deque[Outgoing] = deque()
        self._unsaid: list[int] = []  # numbers of what is written, and not yet known to have been handed over
        self._next_id = 1
        self._wire: Wire | None = None
        self._opening = False
        self._task: asyncio.Task[None] | None = None
        self._stopping, self._idle = asyncio.Event(), asyncio.Event()
        self._back_at = self._wrong_until = 0.0
        self.trouble = "not started"

    @property
    def up(self) -> bool:
        """Whether the broker has accepted a connection that is not lost, as far as it knows."""
        return self._wire is not None

    @property
    def unacked(self) -> int:
        """How many messages were given to it and are not acknowledged, those not yet sent included."""
        return len(self._flying) + len(self._first) + len(self._waiting)

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
            self._pump()

    async def stop(self, seconds: float) -> None:
        """Wait up to `seconds` for acknowledgements, disconnect, and release everything."""
        task, self._task = self._task, None
        if task is None:
            return
        if self._wire is not None:
            self._wire.recover()
        if self.unacked:
            self._idle.clear()
            await set_within(self._idle, seconds)
        self._stopping.set()
        if self._wire is not None:
            self._wire.leave()
            await asyncio.wait([task], timeout=_GOODBYE_S)
        await end([task])

    def act(self, kind: str, seconds: float, amount: float) -> None:
        """Let something happen to the connection for `seconds`; one that is not there cannot be hurt."""
        wire, until = self._wire, asyncio.get_running_loop().time() + seconds
        if kind == "away":
            self._back_at = until
        if kind == "wrong_credentials":
            self._wrong_until = until
        if wire is None:
            return
        match kind:
            case "drop" | "wrong_credentials":
                wire.reset()
            case "silent":
                wire.silence(seconds)
            case "slow":
                wire.throttle(amount, seconds)
            case "away":
                wire.leave()

    # What a wire calls.

    def accepted(self, wire: Wire) -> None:
        """Send again what was not acknowledged, then what the listener has to say, then what waits.

        Where messages are stamped, the listener comes first.
        """
        self._wire, self.trouble = wire, ""
        if self._line.subscriptions:
            wire.write(packets.subscribe(_SUBSCRIBE_ID, self._line.subscriptions))
        self._again = list(self._flying)
        if self._line.stamp:  # what an earlier opening has left keeps its place behind the messages before it
            self._waiting.extendleft(reversed(self._first))
            self._first.clear()
        self._opening = True
        try:
            self._listener.connected(self)
        finally:
            self._opening = False
        self._pump()

    def acknowledged(self, ids: Sequence[int]) -> None:
        """Let go of messages, and send what waits."""
        flying = self._flying
        numbers = [message[0] for id_ in ids if (message := flying.pop(id_, None)) is not None]
        at = self._now()
        if self._unsaid:
            self._said(numbers, at)
        if numbers:
            self._listener.acked(numbers, at)
        if self._waiting or self._first or self._again:
            self._pump()
        if not self.unacked:
            self._idle.set()

    def received(self, topic: str, payload: bytes) -> None:
        """Pass on a message."""
        self._listener.received(self, topic, payload)

    def refused(self, what: str) -> None:
        """Log that the broker does not let it subscribe."""
        self._log.warning("mqtt.refused", client_id=self._line.client_id, reason=what)

    def resumed(self) -> None:
        """Go on writing."""
        self._say()
        self._pump()

    # The rest.

    async def _stay_connected(self) -> None:
        loop, waits = asyncio.get_running_loop(), delays(self._rng, cap=_CAP_S)
        while not self._stopping.is_set():
            if self._back_at > loop.time():
                await set_within(self._stopping, self._back_at - loop.time())
                continue
            wire = Wire(self._hello(wrong=self._wrong_until > loop.time()), self._keepalive, self)
            try:
                self.trouble = await self._connect(wire)
                if not self.trouble:
                    waits = delays(self._rng, cap=_CAP_S)
                if wire.made:
                    self.trouble = await wire.ended
            finally:
                wire.abort("stopped")
                self._gone()
            await set_within(self._stopping, next(waits))

    async def _connect(self, wire: Wire) -> str:
        """Say what is wrong, or nothing."""
        async with self._gate:
            try:
                async with asyncio.timeout(CONNECT_S):
                    await self._dial(wire)
                    return await wire.answered
            except TimeoutError:
                trouble = f"no connection within {CONNECT_S:g} s"
            except OSError as error:
                trouble = str(error)
            wire.abort(trouble)
        return trouble

    def _gone(self) -> None:
        if self._wire is not None:
            self._wire, self.trouble = None, self.trouble or "stopped"
            self._listener.lost(self, self.trouble)

    def _hello(self, *, wrong: bool) -> bytes:
        line, login = self._line, self._login
        if wrong:
            login = Login(login.username if login else line.client_id, "wrong")
        return packets.connect(line.client_id, self._keepalive, login, line.will(), kept=line.kept)

    def _pump(self) -> None:
        wire, flying, line = self._wire, self._flying, self._line
        while wire is not None and wire.writable:
            most = 1 if wire.slow else _CHUNK
            first = self._first and line.stamp and len(flying) < _LAST_ID
            if self._again and not first:
                ids, self._again = [n for n in self._again[:most] if n in flying], self._again[most:]
                again = line.stamped(flying[n] for n in ids)
                wire.write(packets.publishes(ids, again, 0 if line.stamp else DUP))
            else:
                queue = self._first or self._waiting
                room = _LAST_ID - len(flying) if self._again else self._window - len(flying)
                count = min(most, len(queue), room)
                if count <= 0:
                    break
                batch = [queue.popleft() for _ in range(count)]
                fresh = self._ids(count)
                flying.update(zip(fresh, batch, strict=True))
                self._unsaid += [message[0] for message in batch]
                wire.write(packets.publishes(fresh, line.stamped(batch) if line.stamp else batch))
            self._say()

    def _say(self) -> None:
        """Tell what is sent, once the operating system has all of it."""
        if self._unsaid and not self._again and self._wire is not None and self._wire.writable:
            numbers, self._unsaid = self._unsaid, []
            self._listener.sent(numbers, self._now())

    def _said(self, numbers: Sequence[int], at: int) -> None:
        """Tell that messages were sent whose acknowledgement came first."""
        known = set(numbers)
        late = [number for number in self._unsaid if number in known]
        if late:
            self._unsaid = [number for number in self._unsaid if number not in known]
            self._listener.sent(late, at)

    def _ids(self, count: int) -> Sequence[int]:
        """Take packet ids that no message has which is still unacknowledged."""
        begin = self._next_id
        ids = range(begin, begin + count)
        if ids[-1] <= _LAST_ID and self._flying.keys().isdisjoint(ids):
            self._next_id = ids[-1] % _LAST_ID + 1
            return ids
        found: list[int] = []
        while len(found) < count:
            if self._next_id not in self._flying:
                found.append(self._next_id)
            self._next_id = self._next_id % _LAST_ID + 1
        return found
