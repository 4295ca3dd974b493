"""What waits is delivered: in order to each group of a receiver, and to none later because of another."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from itertools import count
from random import Random

import msgspec
import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from alerting.database import write
from alerting.metrics import Metrics
from alerting.notify import deliveries as deliveries_module
from alerting.notify import sender as sender_module
from alerting.notify.deliveries import Deliveries, DeliveryState
from alerting.notify.outcome import DELIVERED, Outcome, of_status
from alerting.notify.sender import Sender, Terms
from alerting.tables_notify import delivery
from contracts.alerts import Notification
from contracts.logs import quiet

SECOND = 10**9
HOUR = 3600 * SECOND
NOTIFICATION = Notification(id="", receiver="", group_key="", status="firing", reason="new", alerts=[], created_at=0)


class Receivers:
    """Stands for every receiver: takes notifications, unless it was told to answer otherwise, or to hang."""

    def __init__(self) -> None:
        self.taken: dict[str, list[str]] = defaultdict(list)
        self.calls: dict[str, int] = defaultdict(int)
        self.answers: dict[str, Outcome] = {}
        self.refusals: dict[str, int] = defaultdict(int)
        self.hanging: set[str] = set()
        self.gone: set[str] = set()
        self.under_way: dict[str, int] = defaultdict(int)
        self.most: dict[str, int] = defaultdict(int)

    async def deliver(self, name: str, notification: Notification, tries: int) -> Outcome | None:
        if name in self.gone:
            return None
        self.calls[name] += 1
        self.under_way[name] += 1
        self.most[name] = max(self.most[name], self.under_way[name])
        try:
            await asyncio.sleep(0)
            if name in self.hanging:
                await asyncio.Event().wait()
            if self.refusals[name] > tries:
                return of_status(503)
            if (answer := self.answers.get(notification.id)) is not None:
                return answer
            self.taken[name].append(notification.id)
            return DELIVERED
        finally:
            self.under_way[name] -= 1


class Post:
    """Notifications on disk, with a sender."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine, self.deliveries, self.receivers = engine, Deliveries(engine), Receivers()
        self.now, self.leading, self._seq = HOUR, True, count(1)
        self.registry = CollectorRegistry()
        self.sender = self.a_sender()
        self.task = asyncio.create_task(asyncio.sleep(0))

    def a_sender(self) -> Sender:
        self.registry = CollectorRegistry()
        terms = Terms(give_up=HOUR, history=10 * HOUR, leading=lambda: self.leading)
        return Sender(
            self.deliveries, self.receivers.deliver, Metrics(self.registry), quiet(), lambda: self.now, Random(1), terms
        )

    async def write(self, *rows: tuple[str, str, str]) -> None:
        """Let notifications wait: (receiver, group, id) each."""
        async with write(self.engine) as connection:
            for receiver, group, name in rows:
                content = msgspec.structs.replace(NOTIFICATION, id=name, receiver=receiver, group_key=group)
                row = {"id": name, "seq": next(self._seq), "receiver": receiver, "group_key": group}
                row |= {"state": "waiting", "content": msgspec.to_builtins(content), "created_at": self.now}
                await connection.execute(sa.insert(delivery).values(row))
        self.sender.wake()

    def run(self) -> None:
        self.task = asyncio.create_task(self.sender.run())

    def count(self, result: str) -> float:
        return self.registry.get_sample_value("alerting_notifications_total", {"result": result}) or 0.0

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                self.now += SECOND  # so that what is to be tried again is due
                self.sender.wake()
                await asyncio.sleep(0.005)

    async def until_empty(self) -> None:
        async with asyncio.timeout(30):
            while await self.deliveries.pending():
                self.now += SECOND
                self.sender.wake()
                await asyncio.sleep(0.005)

    async def state(self, name: str) -> DeliveryState:
        found = await self.deliveries.get(name)
        assert found is not None
        return found.state


@pytest.fixture
async def post(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Post]:
    monkeypatch.setattr(sender_module, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(sender_module, "SLOW_RETRY_S", 0.02)
    post = Post(engine)
    yield post
    await post.sender.stop(0.1)
    await post.task


async def test_everything_arrives_in_the_order_of_its_group(post: Post) -> None:
    await post.write(("a", "g", "1"), ("b", "g", "2"), ("a", "g", "3"), ("b", "h", "4"), ("a", "g", "5"))
    post.run()
    await post.until_empty()
    assert post.receivers.taken["a"] == ["1", "3", "5"]
    assert sorted(post.receivers.taken["b"]) == ["2", "4"]
    assert post.count("delivered") == 5
    assert await post.state("1") is DeliveryState.DELIVERED


async def test_what_is_written_later_arrives_too(post: Post) -> None:
    post.run()
    for number in range(10):
        await post.write(("a", "g", str(number)))
        await post.until(lambda number=number: post.receivers.taken["a"][-1:] == [str(number)])  # type: ignore[misc]


async def test_a_receiver_that_fails_first_gets_everything_in_order_and_every_try_is_kept(post: Post) -> None:
    post.receivers.refusals["a"] = 3
    await post.write(("a", "g", "1"), ("a", "g", "2"))
    post.run()
    await post.until_empty()
    assert post.receivers.taken["a"] == ["1", "2"]
    attempts = await post.deliveries.attempts("1")
    assert [(one.result, one.status, one.problem) for one in attempts] == [
        ("delivered", None, ""),
        *[("failed", 503, "status 503")] * 3,
    ]


async def test_a_receiver_that_hangs_holds_up_no_other(post: Post) -> None:
    post.receivers.hanging.add("a")
    await post.write(("a", "g", "1"), *(("b", "g", f"b{number}") for number in range(10)))
    post.run()
    await post.until(lambda: len(post.receivers.taken["b"]) == 10)
    assert post.receivers.calls["a"] == 1


async def test_a_notification_that_is_not_taken_holds_up_only_its_group(post: Post) -> None:
    post.receivers.answers["1"] = of_status(503)
    await post.write(("a", "g", "1"), ("a", "g", "2"), ("a", "h", "3"), ("a", "h", "4"))
    post.run()
    await post.until(lambda: post.receivers.taken["a"] == ["3", "4"])
    del post.receivers.answers["1"]
    await post.until_empty()
    assert post.receivers.taken["a"] == ["3", "4", "1", "2"]


async def test_a_notification_that_is_rejected_holds_up_nothing_and_is_tried_on(post: Post) -> None:
    post.receivers.answers["1"] = of_status(400)
    await post.write(("a", "g", "1"), ("a", "g", "2"))
    post.run()
    await post.until(lambda: post.receivers.taken["a"] == ["2"])
    assert await post.state("1") is DeliveryState.REJECTED
    del post.receivers.answers["1"]
    await post.until_empty()
    assert post.receivers.taken["a"] == ["2", "1"]


async def test_a_receiver_that_wants_another_key_keeps_its_order(post: Post) -> None:
    post.receivers.answers["1"] = of_status(401)
    await post.write(("a", "g", "1"), ("a", "g", "2"))
    post.run()
    await post.until(lambda: post.count("misconfigured") >= 2)
    assert post.receivers.taken["a"] == []
    post.receivers.answers.clear()
    await post.until_empty()
    assert post.receivers.taken["a"] == ["1", "2"]


async def test_a_receiver_that_takes_nothing_is_tried_with_one_at_a_time(post: Post) -> None:
    await post.write(*(("a", f"g{number}", str(number)) for number in range(40)))
    post.receivers.refusals["a"] = 10**9
    post.run()
    await post.until(lambda: post.receivers.calls["a"] > 12)
    assert post.receivers.most["a"] == sender_module.AT_ONCE_EACH
    post.receivers.most.clear()
    await post.until(lambda: post.receivers.calls["a"] > 20)
    assert post.receivers.most["a"] == 1
    post.receivers.refusals.clear()
    await post.until_empty()
    assert len(post.receivers.taken["a"]) == 40


async def test_a_receiver_that_takes_nothing_is_tried_at_once_where_somebody_asks(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "FIRST_RETRY_S", 3600.0)
    monkeypatch.setattr(sender_module, "SLOW_RETRY_S", 3600.0)
    post.receivers.refusals["a"] = 1
    await post.write(("a", "g", "1"))
    post.run()
    async with asyncio.timeout(30):
        while not (waiting := await post.deliveries.get("1")) or not waiting.attempts:
            await asyncio.sleep(0.005)
    await post.deliveries.hurry("a")
    post.sender.wake("a")
    await post.until_empty()
    assert post.receivers.taken["a"] == ["1"]


async def test_what_a_receiver_asks_for_is_heeded(post: Post) -> None:
    post.receivers.answers["1"] = of_status(429, "1000")
    await post.write(("a", "g", "1"))
    post.run()
    await post.until(lambda: post.receivers.calls["a"] == 1)
    async with asyncio.timeout(30):
        while (waiting := await post.deliveries.get("1")) is None or waiting.next_at is None:
            await asyncio.sleep(0.005)
    assert waiting.next_at >= HOUR + 1000 * SECOND


async def test_what_was_under_way_at_the_stop_is_sent_after_the_next_start(post: Post) -> None:
    post.receivers.hanging.add("a")
    await post.write(("a", "g", "1"))
    post.run()
    await post.until(lambda: post.receivers.calls["a"] == 1)
    await post.sender.stop(0.01)
    await post.task
    post.receivers.hanging.clear()
    post.sender = post.a_sender()
    post.run()
    await post.until_empty()
    assert post.receivers.taken["a"] == ["1"]


async def test_nothing_is_sent_by_a_replica_that_does_not_lead(post: Post) -> None:
    post.leading = False
    await post.write(("a", "g", "1"))
    post.run()
    turned = post.sender
    await asyncio.gather(*(asyncio.sleep(0) for _ in range(100)))
    assert post.receivers.calls["a"] == 0
    post.leading = True
    turned.wake()
    await post.until_empty()
    assert post.receivers.taken["a"] == ["1"]


async def test_what_is_too_old_is_given_up_and_can_be_sent_again(post: Post) -> None:
    post.receivers.refusals["a"] = 10**9
    await post.write(("a", "g", "1"), ("a", "g", "2"))
    post.run()
    await post.until(lambda: post.receivers.calls["a"] > 2)
    post.now += HOUR + 1
    await post.until_empty()
    await post.until(lambda: post.count("expired") == 2)  # counted after it is on disk
    assert await post.state("2") is DeliveryState.GIVEN_UP
    post.receivers.refusals.clear()
    assert await post.deliveries.resend_failed("a", post.now) == 2
    await post.until_empty()
    assert post.receivers.taken["a"] == ["1", "2"]


async def test_what_was_delivered_can_be_sent_again_under_the_same_id(post: Post) -> None:
    await post.write(("a", "g", "1"))
    post.run()
    await post.until_empty()
    assert await post.deliveries.resend("1", post.now) is not None
    await post.until_empty()
    assert post.receivers.taken["a"] == ["1", "1"]
    assert await post.deliveries.resend("other", post.now) is None


async def test_what_waits_for_a_receiver_that_was_deleted_is_given_up(post: Post) -> None:
    post.receivers.gone.add("a")
    await post.write(("a", "g", "1"))
    post.run()
    await post.until_empty()
    assert await post.state("1") is DeliveryState.GIVEN_UP
    assert [one.problem for one in await post.deliveries.attempts("1")] == ["there is no such receiver any more"]


async def test_too_many_drop_the_oldest_and_are_counted(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, "MOST_WAITING", 2)
    await post.write(*(("a", "g", str(number)) for number in range(5)))
    post.run()
    await post.until_empty()
    assert post.receivers.taken["a"] == ["3", "4"]
    assert post.count("full") == 3


async def test_only_the_newest_tries_are_kept_and_all_are_counted(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries_module, "MOST_ATTEMPTS", 3)
    post.receivers.refusals["a"] = 6
    await post.write(("a", "g", "1"))
    post.run()
    await post.until_empty()
    kept = await post.deliveries.get("1")
    assert kept is not None
    assert kept.attempts == 7
    assert [one.result for one in await post.deliveries.attempts("1")] == ["delivered", "failed", "failed"]


async def test_what_ended_long_ago_is_forgotten_with_its_tries(post: Post) -> None:
    await post.write(("a", "g", "1"))
    post.run()
    await post.until_empty()
    post.now += 11 * HOUR
    async with asyncio.timeout(30):
        while await post.deliveries.get("1") is not None:
            post.sender.wake()
            await asyncio.sleep(0.005)
    assert await post.deliveries.attempts("1") == []


async def test_stopping_twice_or_before_the_start_does_nothing(post: Post) -> None:
    await post.sender.stop(0.1)
    await post.sender.stop(0.1)
    post.run()
