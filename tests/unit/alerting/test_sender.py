"""The outbox is emptied: in order to each receiver, and to none later because of another."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from random import Random

import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from alerting import sender as sender_module
from alerting import tables
from alerting.database import WRITE
from alerting.metrics import Metrics
from alerting.outbox import Outbox
from alerting.sender import Sender
from alerting.webhook import Result
from contracts.logs import quiet

A, B = "http://a.example/hook", "http://b.example/hook"
HOUR = 3600 * 10**9


class Receivers:
    """Stands for every receiver: takes bodies, unless it was told to refuse or to hang."""

    def __init__(self) -> None:
        self.taken: dict[str, list[str]] = defaultdict(list)
        self.calls: dict[str, int] = defaultdict(int)
        self.refusals: dict[str, int] = defaultdict(int)
        self.hanging: set[str] = set()

    async def post(self, url: str, body: bytes, tries: int = 0) -> tuple[Result, str]:
        self.calls[url] += 1
        if url in self.hanging:
            await asyncio.Event().wait()
        if self.refusals[url] > tries:
            return Result.FAILED, "status 503"
        self.taken[url].append(body.decode())
        return Result.DELIVERED, ""

    async def close(self) -> None:
        """There is nothing to close."""


class Post:
    """An outbox with a sender."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine, self.outbox, self.receivers = engine, Outbox(engine), Receivers()
        self.registry = CollectorRegistry()
        self.now = 0
        self.sender = self.a_sender()
        self.task = asyncio.create_task(asyncio.sleep(0))

    def a_sender(self) -> Sender:
        webhook, metrics = self.receivers, Metrics(self.registry)
        return Sender(self.outbox, webhook, metrics, quiet(), lambda: self.now, Random(1), HOUR)  # type: ignore[arg-type]

    async def write(self, *notices: tuple[str, str]) -> None:
        rows = [{"alert_id": "x", "url": url, "body": body, "created_at": 0} for url, body in notices]
        async with self.engine.connect() as connection:
            await connection.execution_options(**WRITE)
            async with connection.begin():
                await connection.execute(sa.insert(tables.outbox), rows)
        self.sender.wake()

    def run(self) -> None:
        self.task = asyncio.create_task(self.sender.run())

    def count(self, result: str) -> float:
        return self.registry.get_sample_value("alerting_notifications_total", {"result": result}) or 0.0

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.005)

    async def until_empty(self) -> None:
        async with asyncio.timeout(30):
            while await self.outbox.pending():
                await asyncio.sleep(0.005)


@pytest.fixture
async def post(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Post]:
    monkeypatch.setattr(sender_module, "FIRST_RETRY_S", 0.01)
    post = Post(engine)
    yield post
    await post.sender.stop(0.1)
    await post.task


async def test_everything_arrives_in_order(post: Post) -> None:
    await post.write((A, "1"), (B, "1"), (A, "2"), (B, "2"))
    post.run()
    await post.until_empty()
    assert post.receivers.taken == {A: ["1", "2"], B: ["1", "2"]}
    assert post.count("delivered") == 4


async def test_what_is_written_later_arrives_too(post: Post) -> None:
    post.run()
    for number in range(20):
        await post.write((A, str(number)))
        await post.until(lambda number=number: post.receivers.taken[A][-1:] == [str(number)])  # type: ignore[misc]


async def test_a_receiver_that_fails_first_gets_everything_in_order(post: Post) -> None:
    post.receivers.refusals[A] = 3
    await post.write((A, "1"), (A, "2"))
    post.run()
    await post.until_empty()
    assert post.receivers.taken[A] == ["1", "2"]
    assert post.count("failed") >= 3


async def test_a_receiver_that_hangs_holds_up_no_other(post: Post) -> None:
    post.receivers.hanging.add(A)
    await post.write((A, "1"), *((B, str(number)) for number in range(10)))
    post.run()
    await post.until(lambda: len(post.receivers.taken[B]) == 10)
    assert post.receivers.calls[A] == 1


async def test_what_was_under_way_at_the_stop_is_sent_after_the_next_start(post: Post) -> None:
    post.receivers.hanging.add(A)
    await post.write((A, "1"))
    post.run()
    await post.until(lambda: post.receivers.calls[A] == 1)
    await post.sender.stop(0.01)
    await post.task
    post.receivers.hanging.clear()
    post.registry = CollectorRegistry()
    post.sender = post.a_sender()
    post.run()
    await post.until_empty()
    assert post.receivers.taken[A] == ["1"]


async def test_what_is_too_old_is_given_up_and_counted(post: Post) -> None:
    post.receivers.refusals[A] = 10**9
    await post.write((A, "1"), (A, "2"))
    post.run()
    await post.until(lambda: post.receivers.calls[A] > 2)
    post.now = HOUR + 1
    await post.until_empty()
    assert post.count("expired") == 2
    assert post.receivers.taken[A] == []


async def test_a_full_outbox_drops_the_oldest_and_counts_them(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, "MOST_WAITING", 2)
    await post.write(*((A, str(number)) for number in range(5)))
    post.run()
    await post.until_empty()
    assert post.receivers.taken[A] == ["3", "4"]
    assert post.count("full") == 3


async def test_stopping_twice_or_before_the_start_does_nothing(post: Post) -> None:
    await post.sender.stop(0.1)
    await post.sender.stop(0.1)
    post.run()
