"""Up to when ingest says that it has heard all, against what is really on the stream."""

import time

import pytest

from contracts import logs, streams
from contracts.consumers import consumers_of
from contracts.heard import WAIT_S, Heard, Listening, Mark, Telling
from contracts.jetstream import Link, OrderedReader
from ingest import app as ingest_app
from ingest import watermark
from tests.conftest import TOKEN, Server
from tests.integration.ingest_service import device, ingest, publish, settings

START = 1_767_225_600_000
BACKLOG = 400
_NOW = time.time_ns  # noqa: TID251 - what ingest hears is told in the time of its clock


@pytest.fixture(autouse=True)
def _sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watermark, "LEAST_NS", 300_000_000)
    monkeypatch.setattr(ingest_app, "EVERY_S", 0.1)


class Reader:
    """Reads all partitions as one, and notes how far that is heard."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._listening = Listening(link, time.monotonic)
        self._readers: dict[int, OrderedReader] = {}
        self._marks: dict[int, Mark] = {}
        self.messages = 0

    async def heard(self) -> int:
        """Look once: the watermark, then how far the stream has handed out, then what that was."""
        upto = await self._listening.upto()
        infos = {info.name: info for info in await consumers_of(self._link.js, streams.TELEMETRY)}
        for partition in range(4):
            name = streams.partition_consumer(streams.PROCESSOR, partition, 0)
            if partition not in self._readers:
                self._readers[partition] = OrderedReader(self._link, "TELEMETRY", name)
                self._marks[partition] = Mark()
            info = infos.get(name)
            if info is not None and info.delivered is not None and not info.num_pending:
                self._marks[partition].note(upto, info.delivered.stream_seq)
            messages = await self._readers[partition].read(wait=0.01)
            self.messages += len(messages)
            for message in messages:
                await message.ack()
                self._marks[partition].reach(message.metadata.sequence.stream)
        return min(mark.until for mark in self._marks.values())

    async def heard_beyond(self, ns: int) -> None:
        deadline = time.monotonic() + 30
        while await self.heard() <= ns:
            assert time.monotonic() < deadline, "not heard within 30 s"


async def test_silence_while_ingest_is_away_means_nothing_and_the_backlog_comes_before_it_does(
    stream: Server, broker: Server
) -> None:
    given = settings(stream, broker, linger_ms=1, batch_readings=1)
    link = await Link(stream.nats_url, TOKEN, "reader", logs.quiet()).connect()
    try:
        reader = Reader(link)
        async with device(broker) as client:
            async with ingest(given):
                await publish(client, "devices/still-1/telemetry/level", b"1.5")
                sent = _NOW()
                await reader.heard_beyond(sent)
                assert reader.messages == 1
            stopped = await reader.heard()
            for number in range(BACKLOG):
                await publish(client, f"devices/still-{number % 9}/telemetry/level", b"%d" % number)
            sent = _NOW()
            for _ in range(5):
                assert await reader.heard() == stopped < sent, "nobody has heard anything"
            async with ingest(given):
                await reader.heard_beyond(sent)
                assert reader.messages == 1 + BACKLOG
    finally:
        await link.close()


async def test_it_stands_still_while_the_broker_is_away_and_ingest_is_not(stream: Server, broker: Server) -> None:
    link = await Link(stream.nats_url, TOKEN, "reader", logs.quiet()).connect()
    listening = Listening(link, time.monotonic)
    try:
        async with ingest(settings(stream, broker)) as app:
            deadline = time.monotonic() + 30
            while not await listening.upto():
                assert time.monotonic() < deadline
            broker.kill()
            killed = _NOW()
            while app.registry.get_sample_value("ingest_heard_age_seconds", {}) < 1:  # type: ignore[operator]  # it is there
                assert time.monotonic() < deadline
                assert await listening.upto() <= killed
            assert 0 < await listening.upto() <= killed
    finally:
        await link.close()


async def test_the_least_of_several_counts_unless_it_has_left_or_is_away_for_long(stream: Server) -> None:
    link = await Link(stream.nats_url, TOKEN, "reader", logs.quiet()).connect()
    seconds = 0.0
    try:
        listening = Listening(link, lambda: seconds)
        one, other = Telling(link, "ingest/a"), Telling(link, "ingest.b")
        assert await listening.upto() == await one.told() == 0
        await one.tell(Heard(500))
        await other.tell(Heard(0))
        assert await listening.upto() == 0, "the other one has begun, and has heard nothing"
        await other.tell(Heard(700))
        assert await listening.upto() == 500
        seconds = WAIT_S
        await other.tell(Heard(800))
        assert await listening.upto() == 800, "the first one has not said anything for so long"
        await one.tell(Heard(600))
        assert await listening.upto() == 600
        await one.tell(Heard(600, left=True))
        assert await listening.upto() == 800
        seconds = 3 * WAIT_S
        assert await listening.upto() == 800, "the only one is waited for"
        await other.tell(Heard(900, left=True))
        assert await listening.upto() == 0
        assert await other.told() == 900
    finally:
        await link.close()
