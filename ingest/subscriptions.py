"""What a session is subscribed to, and has been: kept equal to what is wanted."""

import asyncio
from collections.abc import Iterable
from typing import Protocol

from contracts.devices import kv_key
from contracts.logs import Log
from ingest.answers import REFUSED
from ingest.filters import fewest, matches
from ingest.sessions import NotRememberedError

QUIET_S, LEAVE_S, LEAVE_SHARED_S = 5.0, 600.0, 20.0
"""A filter that is no longer wanted is left when nothing has come by it for so long; at the latest after so long.

In a group that is sooner: another ingest has subscribed to it by then, and what comes to both is stored twice if it has
no time of its own. Mosquitto keeps what waits for a filter that is left, and nats-server knows no groups.
"""

RETRY_S = 1.0
PROVE_S, _PROVE_AGAIN_S = 5.0, 30.0
_AT_ONCE = 100


class Memory(Protocol):
    """Keeps, over restarts, the filters that the broker may have of us."""

    async def load(self) -> frozenset[str]:
        """Return them. Raises NotRememberedError."""

    async def save(self, filters: frozenset[str]) -> None:
        """Return once they are kept. Raises NotRememberedError."""


class Subscriber(Protocol):
    """A connection, as far as subscriptions need it. `ended` is done once it is. Both requests raise BrokerError."""

    ended: asyncio.Future[str]

    async def subscribe(self, filters: Iterable[str]) -> bytes:
        """Subscribe, and return the broker's code for each filter."""

    async def unsubscribe(self, filters: Iterable[str]) -> None:
        """End subscriptions."""

    def send(self, topic: str, payload: bytes) -> bool:
        """Publish at once, or not."""


class Subscriptions:
    """Makes the subscriptions that are wanted, and ends those that an earlier run, or an earlier wish, has left.

    What is wanted is remembered before the broker is asked for it, so nothing that the broker has is ever unknown.
    A filter is not left at once: nats-server drops what it still has for a subscription that is ended. So first
    everything that waited for us has to have come.
    """

    def __init__(self, filters: Iterable[str], group: str, client_id: str, log: Log) -> None:
        self._group, self._log = group, log
        self._probe = f"ingest/{kv_key(client_id)}/probe"
        self._proved = asyncio.Event()
        self._changed = asyncio.Event()
        self._needed = self._wanted = self._sharing(filters)
        self._made: frozenset[str] = frozenset()
        self._known: frozenset[str] | None = None  # as remembered: the broker may have these; None: not asked yet
        self._leaving: frozenset[str] = frozenset()
        self._wide: list[list[str]] = []  # those of them with wildcards, by level
        self._came = 0.0
        self.missing: tuple[str, ...] = ("broker",)
        self.watching = False

    def follow(self, filters: Iterable[str], alone: Iterable[str] = ()) -> None:
        """Want these from now on, and no others; any that was not wanted at first may be refused.

        Those in `alone` are not shared with the group.
        """
        wanted = self._sharing(filters) | frozenset(fewest(list(alone)))
        if wanted != self._wanted:
            self._wanted = wanted
            self._changed.set()

    def lost(self) -> None:
        """Say that there is no connection."""
        self.missing = ("broker",)

    def is_ours(self, topic: str) -> bool:
        """Whether a message is the probe. To be asked of each message while `watching`: it is also seen what comes."""
        if topic == self._probe:
            self._proved.set()
            return True
        if topic in self._leaving or any(matches(wide, topic.split("/")) for wide in self._wide):
            self._came = asyncio.get_running_loop().time()
        return False

    async def keep(self, connection: Subscriber, memory: Memory, *, session_present: bool) -> None:
        """Keep the subscriptions of a connection, for as long as it lasts. Raises BrokerError."""
        if not session_present:
            self._made = frozenset()
        while True:
            self._changed.clear()
            try:
                await self._make(connection, memory)
                if await self._leave(connection, memory):
                    continue
            except NotRememberedError as error:
                self._log.debug("session.not_remembered", error=str(error))
                await asyncio.sleep(RETRY_S)
                continue
            await self._changed.wait()

    async def _make(self, connection: Subscriber, memory: Memory) -> None:
        """Make what is wanted and not made yet."""
        wanted = self._wanted
        if self._known is None:
            self._known = await memory.load()
        if not wanted <= self._known:
            await memory.save(self._known | wanted)
            self._known |= wanted
        refused = []
        new = sorted(wanted - self._made, key=lambda topic: (topic not in self._needed, topic))
        for start in range(0, len(new), _AT_ONCE):
            some = new[start : start + _AT_ONCE]
            codes = await connection.subscribe(some)
            refused += [topic for topic, code in zip(some, codes, strict=True) if code >= REFUSED]
        self._made = wanted.difference(refused)
        if refused:
            self._log.warning("broker.subscriptions_refused", filters=refused[:20], number=len(refused))
        if self._group:
            await self._prove(connection)
        needed = [topic for topic in refused if topic in self._needed]
        self.missing = tuple(f"subscription to {topic}" for topic in needed[:3])

    async def _leave(self, connection: Subscriber, memory: Memory) -> bool:
        """End what is no longer wanted, in good time; true if something else is wanted meanwhile."""
        loop = asyncio.get_running_loop()
        old = (self._known or frozenset()) - self._wanted
        if not old:
            return False
        began = self._came = loop.time()
        latest = began + (LEAVE_SHARED_S if self._group else LEAVE_S)
        self._leaving, self.watching = frozenset(map(_unshared, old)), True
        self._wide = [topic.split("/") for topic in self._leaving if "+" in topic or "#" in topic]
        try:
            while (rest := min(self._came + QUIET_S, latest) - loop.time()) > 0:
                try:
                    async with asyncio.timeout(rest):
                        await self._changed.wait()
                except TimeoutError:
                    continue
                return True
        finally:
            self._leaving, self._wide, self.watching = frozenset(), [], False
        ending = sorted(old)
        for start in range(0, len(ending), _AT_ONCE):
            await connection.unsubscribe(ending[start : start + _AT_ONCE])
        self._log.info("broker.subscriptions_ended", filters=ending[:20], number=len(ending))
        self._known = self._wanted
        await memory.save(self._wanted)
        return self._changed.is_set()

    async def _prove(self, connection: Subscriber) -> None:
        """Find out whether the broker knows shared subscriptions; one that does not takes them, and sends nothing."""
        ours = _shared(self._probe, self._group)
        self.watching = True
        try:
            while True:
                self._proved.clear()
                await connection.subscribe([ours])
                connection.send(self._probe, b"")
                try:
                    async with asyncio.timeout(PROVE_S):
                        await self._proved.wait()
                except TimeoutError:
                    self.missing = ("broker with shared subscriptions",)
                    self._log.error("broker.not_shared", group=self._group)
                    await asyncio.sleep(_PROVE_AGAIN_S)
                else:
                    return
        finally:
            self.watching = False
            if not connection.ended.done():
                await connection.unsubscribe([ours])

    def _sharing(self, filters: Iterable[str]) -> frozenset[str]:
        return frozenset(_shared(topic, self._group) for topic in fewest(list(filters)))


def _shared(topic_filter: str, group: str) -> str:
    """Name a filter as a group's, whose messages are divided among its members; as it is where there is no group."""
    return f"$share/{group}/{topic_filter}" if group else topic_filter


def _unshared(topic_filter: str) -> str:
    return topic_filter.split("/", 2)[2] if topic_filter.startswith("$share/") else topic_filter
