"""A listener to live events: what it wants, what waits for it, and when it is too slow."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Self

from contracts.wire import SchemaError
from devices_api.live.live import Entry, Event, Position

MOST_WAITING = 256
"""Messages of the streams that wait for one listener; whoever lets more wait is dropped."""

_FRESH_S = 5.0
_MOST_REMEMBERED = 100_000

Matching = Callable[[Collection[str]], Awaitable[set[str]]]
"""Gives those of some devices that a listener wants and may see. Raises UnavailableError."""


@dataclass(frozen=True)
class Wish:
    """What a listener wants: events of these kinds, of these metrics (all where there is none), of devices that match.

    Without `matching`, of all devices.
    """

    kinds: frozenset[str]
    metrics: frozenset[str] = frozenset()
    matching: Matching | None = None

    def of(self, matching: Matching | None) -> Self:
        """Give the same wish, of these devices."""
        return replace(self, matching=matching)


@dataclass
class Heard:
    """One thing to tell a listener: an event, or `lost`, that so many messages of a stream were not heard."""

    position: Position
    name: str
    content: dict[str, object]


class Listener:
    """One listener. What is offered to it waits, bounded; `dropped` says why it hears no more."""

    def __init__(self, wish: Wish, position: Position, clock: Callable[[], float]) -> None:
        self._wish, self._position, self._clock = wish, position, clock
        self._waiting: asyncio.Queue[Entry | None] = asyncio.Queue()
        self._known: dict[str, tuple[bool, float]] = {}
        self.dropped = ""

    def offer(self, entry: Entry) -> None:
        """Let an entry wait; if too many do, this listener is dropped."""
        if self.dropped:
            return
        if self._waiting.qsize() >= MOST_WAITING:
            self.drop("slow: events came faster than they were read; begin again from the last id")
        else:
            self._waiting.put_nowait(entry)

    def drop(self, reason: str) -> None:
        """Tell it why it hears no more; what waits is not told."""
        if not self.dropped:
            self.dropped = reason
            self._waiting.put_nowait(None)

    async def hear(self, missed: Iterable[Entry], wait: float) -> AsyncIterator[list[Heard]]:
        """Give what was `missed`, then what comes, entry by entry; an empty list after `wait` s in which nothing came.

        Ends when the listener is dropped. Raises UnavailableError if nobody can tell which devices it wants.
        """
        for entry in missed:
            if self.dropped:
                return
            if heard := await self._take(entry):
                yield heard
        while not self.dropped:
            try:
                async with asyncio.timeout(wait):
                    following = await self._waiting.get()
            except TimeoutError:
                yield []
                continue
            if following is None:
                return
            if heard := await self._take(following):
                yield heard

    async def _take(self, entry: Entry) -> list[Heard]:
        """Give what a listener wants of an entry, and has not had."""
        from_ = self._position.skip(entry.source, entry.sequence)
        if from_ is None:
            return []
        heard: list[Heard] = []
        if entry.lost:
            self._position = self._position.after(entry.source, entry.sequence)
            return [Heard(self._position, "lost", {"stream": _NAMES[entry.source], "messages": entry.lost})]
        try:
            events = entry.events
        except SchemaError:  # of a later version: there is nothing in it that could be told
            events = ()
        wanted = await self._wanted({event.device for event in events[from_:]})
        for number, event in enumerate(events[from_:], from_ + 1):
            if (wanted is None or event.device in wanted) and (shown := self._cut(event)) is not None:
                position = self._position.after(entry.source, entry.sequence, number)
                heard.append(Heard(position, shown.kind, shown.content))
        self._position = self._position.after(entry.source, entry.sequence)
        return heard

    def _cut(self, event: Event) -> Event | None:
        """Leave out what is not wanted of an event; None if nothing is left."""
        if event.kind not in self._wish.kinds:
            return None
        values = event.content.get("values")
        if not self._wish.metrics or not isinstance(values, dict):
            return event
        left = {metric: value for metric, value in values.items() if metric in self._wish.metrics}
        return event._replace(content=event.content | {"values": left}) if left else None

    async def _wanted(self, devices: set[str]) -> set[str] | None:
        """Tell which of some devices are wanted; what was found out holds for some seconds. None: all are."""
        if self._wish.matching is None:
            return None
        now = self._clock()
        unknown = [device for device in devices if self._known.get(device, (False, 0.0))[1] <= now]
        if unknown:
            if len(self._known) + len(unknown) > _MOST_REMEMBERED:
                self._known.clear()
                unknown = list(devices)
            matching = await self._wish.matching(unknown)
            self._known |= {device: (device in matching, now + _FRESH_S) for device in unknown}
        return {device for device in devices if self._known[device][0]}


_NAMES = ("telemetry", "derived", "presence")
