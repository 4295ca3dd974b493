"""Live events: ids, what is remembered, and what a listener is told."""

import asyncio
from collections.abc import Collection, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.presence import PRESENCE_MESSAGE, Presence
from contracts.readings import READING_BATCH, Reading, ReadingBatch, Value
from devices_api.live.listening import MOST_WAITING, Heard, Listener, Wish
from devices_api.live.live import Entry, Position, Ring

TELEMETRY, DERIVED, PRESENCE = range(3)
START = Position((0, 0, 0), (-1, -1, -1))
EVERYTHING = Wish(frozenset({"reading", "computed", "presence"}))


def batch(*readings: tuple[str, dict[str, Value]]) -> bytes:
    return READING_BATCH.encode(ReadingBatch(1, 0, [Reading(device, 1, 2, values) for device, values in readings]))


def online(device: str) -> bytes:
    return PRESENCE_MESSAGE.encode(Presence(1, device, "online", 3))


def begun(most_bytes: int = 1 << 20) -> Ring:
    ring = Ring(most_bytes)
    ring.begin([0, 0, 0])
    return ring


async def told(listener: Listener, missed: Iterable[Entry] = ()) -> list[Heard]:
    """Give all that a listener is told until nothing more comes."""
    found: list[Heard] = []
    async for heard in listener.hear(missed, 0.01):
        if not heard:
            break
        found += heard
    return found


def devices(heard: Iterable[Heard]) -> list[object]:
    return [item.content["device"] for item in heard]


@given(st.tuples(*[st.integers(0, 2**63 - 1)] * 3), st.tuples(*[st.integers(-1, 10_000)] * 3))
def test_an_id_is_read_as_it_was_written(sequences: tuple[int, int, int], events: tuple[int, int, int]) -> None:
    assert Position.parse(str(Position(sequences, events))) == Position(sequences, events)


@pytest.mark.parametrize(
    "text", ["", "1", "1-2", "1-2-3-4", "a-1-2", "1.x-2-3", "1..2-3-4", "9" * 40 + "-1-1", "-1-2-3"]
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no id of an event"):
        Position.parse(text)


async def test_a_listener_hears_what_comes() -> None:
    ring = begun()
    listener = Listener(EVERYTHING, ring.position(), lambda: 0.0)
    for entry in [
        *ring.add(TELEMETRY, 1, batch(("a", {"t": 1.0}), ("b", {"t": 2.0}))),
        *ring.add(PRESENCE, 1, online("c")),
    ]:
        listener.offer(entry)
    heard = await told(listener)
    assert [(item.name, item.content["device"], str(item.position)) for item in heard] == [
        ("reading", "a", "1.1-0-0"),
        ("reading", "b", "1.2-0-0"),
        ("presence", "c", "1-0-1.1"),
    ]


@given(st.data())
async def test_whoever_comes_back_hears_each_event_once_wherever_it_was(data: st.DataObject) -> None:
    ring, positions = begun(), [0, 0, 0]
    for number in range(data.draw(st.integers(1, 12), label="messages")):
        source = data.draw(st.sampled_from([TELEMETRY, PRESENCE]), label="stream")
        positions[source] += 1
        names = [f"{number}.{i}" for i in range(data.draw(st.integers(1, 3)))] if source == TELEMETRY else [f"{number}"]
        values: dict[str, Value] = {"t": 1.0}
        content = batch(*((name, values) for name in names)) if source == TELEMETRY else online(names[0])
        ring.add(source, positions[source], content)
    everything = await told(Listener(EVERYTHING, START, lambda: 0.0), ring.since(START))
    left_at = data.draw(st.integers(0, len(everything)), label="events heard before")
    last = everything[left_at - 1].position if left_at else START
    rest = await told(Listener(EVERYTHING, Position.parse(str(last)), lambda: 0.0), ring.since(last))
    assert devices(everything[:left_at]) + devices(rest) == devices(everything)


async def test_what_is_not_remembered_any_more_is_told_as_lost() -> None:
    ring = begun(most_bytes=1)
    for sequence in range(1, 6):
        ring.add(TELEMETRY, sequence, batch((f"{sequence}", {"t": 1.0})))
    heard = await told(Listener(EVERYTHING, START, lambda: 0.0), ring.since(START))
    assert [(item.name, item.content) for item in heard[:1]] == [("lost", {"stream": "telemetry", "messages": 4})]
    assert devices(heard[1:]) == ["5"]


async def test_messages_that_were_not_heard_are_told_as_lost() -> None:
    ring = begun()
    listener = Listener(EVERYTHING, ring.position(), lambda: 0.0)
    for sequence in (1, 4, 4):
        for entry in ring.add(TELEMETRY, sequence, batch((f"{sequence}", {"t": 1.0}))):
            listener.offer(entry)
    heard = await told(listener)
    assert [(item.name, item.content.get("messages")) for item in heard] == [
        ("reading", None),
        ("lost", 2),
        ("reading", None),
    ]


async def test_a_listener_hears_of_the_devices_and_metrics_that_it_wants() -> None:
    asked: list[set[str]] = []

    async def matching(some: Collection[str]) -> set[str]:
        asked.append(set(some))
        return {device for device in some if device.startswith("pump")}

    now = 0.0
    wish = Wish(frozenset({"reading"}), frozenset({"t"}), matching)
    listener = Listener(wish, START, lambda: now)
    ring = begun()
    both = batch(("pump-1", {"t": 1.0, "p": 2.0}), ("still-1", {"t": 1.0}), ("pump-2", {"p": 1.0}))
    for entry in [
        *ring.add(TELEMETRY, 1, both),
        *ring.add(PRESENCE, 1, online("pump-1")),
        *ring.add(TELEMETRY, 2, both),
    ]:
        listener.offer(entry)
    heard = await told(listener)
    assert [item.content["values"] for item in heard] == [{"t": 1.0}, {"t": 1.0}]
    assert asked == [{"pump-1", "still-1", "pump-2"}]
    now = 60.0
    for entry in ring.add(TELEMETRY, 3, both):
        listener.offer(entry)
    await told(listener)
    assert len(asked) == 2


async def test_a_slow_listener_is_dropped_and_the_others_hear_on() -> None:
    ring = begun()
    slow, quick = (Listener(EVERYTHING, ring.position(), lambda: 0.0) for _ in range(2))
    for sequence in range(1, MOST_WAITING + 2):
        for entry in ring.add(PRESENCE, sequence, online("a")):
            slow.offer(entry)
            quick.offer(entry)
        if sequence == 100:
            assert len(await told(quick)) == 100
    assert slow.dropped.startswith("slow: ")
    assert not quick.dropped
    assert len(await told(quick)) == MOST_WAITING + 1 - 100


async def test_a_listener_that_is_dropped_while_it_waits_ends_at_once() -> None:
    listener = Listener(EVERYTHING, START, lambda: 0.0)

    async def hear() -> list[Heard]:
        return [item async for heard in listener.hear((), 60) for item in heard]

    hearing = asyncio.create_task(hear())
    await asyncio.sleep(0)
    listener.drop("stopping: it stops")
    assert await hearing == []


async def test_a_message_of_a_later_version_is_passed_over() -> None:
    ring = begun()
    listener = Listener(EVERYTHING, ring.position(), lambda: 0.0)
    for entry in [*ring.add(PRESENCE, 1, b"\x91\x63"), *ring.add(PRESENCE, 2, online("a"))]:
        listener.offer(entry)
    assert devices(await told(listener)) == ["a"]
