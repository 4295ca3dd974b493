"""The relay, with a registry on disk and a bucket that comes and goes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, cast

import pytest
from nats.errors import ConnectionClosedError

from contracts import logs
from contracts.devices import decode_record, kv_key
from contracts.presence import Presence
from devices_api.access import ROOT
from devices_api.errors import UnavailableError
from devices_api.metrics import Metrics
from devices_api.registry.bucket import OvertakenError
from devices_api.registry.devices import NewDevice
from devices_api.registry.relay import AT_ONCE, Relay
from devices_api.repository import Repository

if TYPE_CHECKING:
    from devices_api.stream import StreamServer


class FakeStream:
    """A stream server whose bucket is a dictionary. `away` makes it fail like the real one."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.writes: list[str] = []
        self.before_write: Callable[[], Awaitable[None]] | None = None  # called once
        self.ready, self.away, self.doubts = True, False, 0

    @property
    def bucket(self) -> "FakeStream":
        if not self.ready:
            raise UnavailableError("bucket devices")
        return self

    def doubt(self) -> None:
        self.doubts += 1

    async def end(self) -> int:
        return len(self.writes)

    async def write(self, key: str, value: bytes | None, after: int) -> None:
        if self.away:
            raise ConnectionClosedError
        before, self.before_write = self.before_write, None
        if before is not None:
            await before()
        if after != len(self.writes):
            raise OvertakenError
        self.writes.append(key)
        if value is None:
            self.values.pop(key, None)
        else:
            self.values[key] = value


class Running:
    """A relay at work."""

    def __init__(self, registry: Repository, stream: FakeStream | None = None) -> None:
        self.registry, self.stream = registry, stream or FakeStream()
        self.metrics = Metrics(lambda: True)
        self.relay = Relay(registry.outbox, cast("StreamServer", self.stream), self.metrics, logs.quiet())
        self.task = asyncio.create_task(self.relay.run())

    async def register(self, *ids: str) -> None:
        for id_ in ids:
            await self.registry.create(NewDevice(id_, id_), ROOT, now=1)
        self.relay.wake()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.005)

    def pending(self) -> float | None:
        return self.metrics.registry.get_sample_value("devices_api_outbox_pending")


@pytest.fixture
async def running(registry: Repository) -> AsyncIterator[Running]:
    running = Running(registry)
    yield running
    running.relay.finish()
    async with asyncio.timeout(30):
        await running.task


async def test_changes_reach_the_bucket_in_order(running: Running) -> None:
    await running.register("a", "pump 7", "b")
    await running.until(lambda: len(running.stream.values) == 3)
    assert running.stream.writes == ["a", kv_key("pump 7"), "b"]
    assert decode_record(running.stream.values[kv_key("pump 7")]).id == "pump 7"
    await running.registry.change("a", {"enabled": False, "tags": {"x": "1"}}, ROOT, now=2)
    await running.registry.purge("b", ROOT, now=3)
    running.relay.wake()
    await running.until(lambda: "b" not in running.stream.values)
    record = decode_record(running.stream.values["a"])
    assert (record.enabled, record.tags) == (False, {"x": "1"})
    await running.until(lambda: running.pending() == 0)
    assert await running.registry.outbox.size() == 0


async def test_changes_wait_while_the_bucket_is_away(running: Running) -> None:
    running.stream.away = True
    await running.register("a")
    await running.until(lambda: running.stream.doubts > 0)
    running.stream.ready = False
    await running.register("b")
    await running.until(lambda: running.pending() == 2)
    assert running.stream.values == {}
    running.stream.ready, running.stream.away = True, False
    running.relay.wake()
    await running.until(lambda: running.stream.values.keys() == {"a", "b"})


async def test_a_change_that_nobody_told_of_goes_out_on_the_timer(running: Running) -> None:
    await running.registry.create(NewDevice("a", "a"), ROOT, now=1)
    await running.until(lambda: "a" in running.stream.values)


async def test_a_bucket_that_lost_its_records_gets_them_again(running: Running) -> None:
    await running.register("a", "b")
    await running.until(lambda: len(running.stream.values) == 2)
    running.stream.values.clear()
    await running.relay.announce_all()
    await running.until(lambda: len(running.stream.values) == 2)


async def test_more_changes_than_go_at_once_all_go(running: Running) -> None:
    seen = [Presence(1, f"d{n:03}", "seen", 1) for n in range(AT_ONCE + 50)]
    await running.registry.take_presence(seen, 1, len(seen))
    running.relay.wake()
    await running.until(lambda: len(running.stream.values) == AT_ONCE + 50)


async def test_of_two_relays_one_that_is_late_leaves_the_bucket_as_it_is(running: Running) -> None:
    async def other_relay() -> None:
        await running.registry.change("a", {"tags": {"newest": "yes"}}, ROOT, now=2)
        other = Running(running.registry, running.stream)
        await other.until(lambda: running.stream.writes == ["a"])
        other.relay.finish()
        await other.task

    running.stream.before_write = other_relay
    await running.register("a")
    await running.until(lambda: "a" in running.stream.values and running.stream.before_write is None)
    await running.register("b")  # the late one goes on
    await running.until(lambda: "b" in running.stream.values)
    assert decode_record(running.stream.values["a"]).tags == {"newest": "yes"}
