"""Processor between a real stream server and a real store."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from contracts import logs, streams
from contracts.consumers import consumers_of, take_over
from contracts.deadletters import DEAD_LETTER, DeadLetter, Reason
from contracts.jetstream import Link, Publisher, ensure_stream
from contracts.readings import READING_BATCH, Reading, ReadingBatch, Value
from contracts.timeseries import Days, Kind
from processor.app import App
from processor.series import Series
from processor.settings import Settings
from tests.conftest import TOKEN, Server, free_port
from tests.stores.oracle import differences, rollups_of
from tests.stores.reading_back import of_sqlite

NOW = 1_700_000_040_000_000_000


def batch(*values: Value, device: str = "d", first: int = 0) -> bytes:
    readings = [
        Reading(device, NOW + (first + number) * 1_000_000_000, NOW + 1, {"m": value})
        for number, value in enumerate(values)
    ]
    return READING_BATCH.encode(ReadingBatch(1, 0, readings))


class Pipeline:
    """What is around processor: a publisher in the place of ingest, and a look into the store."""

    def __init__(self, server: Server, store: Path) -> None:
        self.server, self.store = server, store
        self.link = Link(server.nats_url, TOKEN, "test", logs.quiet())
        self.publisher = Publisher(self.link)

    def app(self, **more: object) -> App:
        about = {"nats_url": self.server.nats_url, "nats_token": TOKEN, "store": self.store}
        return App(Settings.model_validate(about | more), logs.quiet())

    @asynccontextmanager
    async def running(self, **more: object) -> AsyncIterator[App]:
        app = self.app(**more)
        await app.start()
        try:
            yield app
        finally:
            async with asyncio.timeout(30):
                await app.stop()

    async def connect(self) -> None:
        await self.link.connect()
        await self.publisher.start()

    async def ensure(self) -> None:
        await ensure_stream(self.link.js, streams.TELEMETRY)
        await ensure_stream(self.link.js, streams.DEADLETTERS)

    async def publish(self, *bodies: bytes) -> None:
        for body in bodies:
            await self.publisher.publish("telemetry.0", body)

    def rows(self, sql: str = "SELECT device, ts, value FROM point ORDER BY device, ts") -> list[tuple[object, ...]]:
        if not self.store.exists():
            return []
        with closing(sqlite3.connect(self.store)) as db:
            return db.execute(sql).fetchall()

    def points(self) -> int:
        try:
            return len(self.rows())
        except sqlite3.OperationalError:  # the schema is being made
            return 0

    async def dead_letters(self, count: int) -> list[DeadLetter]:
        letters = [await self.link.js.get_msg("DEADLETTERS", number) for number in range(1, count + 1)]
        return [DEAD_LETTER.decode(letter.data or b"") for letter in letters]

    async def unacknowledged(self) -> int:
        infos = await consumers_of(self.link.js, streams.TELEMETRY)
        infos = [info for info in infos if not info.name.startswith("alerting")]
        return sum((info.num_pending or 0) + (info.num_ack_pending or 0) for info in infos)

    async def settled(self) -> None:
        async with asyncio.timeout(30):
            while await self.unacknowledged():
                await asyncio.sleep(0.01)


async def until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"not within {seconds} s: {what}")


@pytest.fixture
async def pipeline(stream: Server, tmp_path: Path) -> AsyncIterator[Pipeline]:
    pipeline = Pipeline(stream, tmp_path / "data" / "store.sqlite3")
    await pipeline.connect()
    await pipeline.ensure()
    yield pipeline
    await pipeline.link.close()


async def test_a_batch_becomes_points_and_rollups(pipeline: Pipeline) -> None:
    mixed: list[Value] = [1.0, 2.0, True, "text"]
    async with pipeline.running() as app:
        await pipeline.publish(batch(*mixed))
        await pipeline.settled()
        assert [value for _, _, value in pipeline.rows()] == [1.0, 2.0, 1, "text"]
        assert pipeline.rows("SELECT kind, start, count, sum FROM rollup_1m ORDER BY kind") == [
            ("boolean", NOW, 1, None),
            ("number", NOW, 2, 3.0),
            ("text", NOW, 1, None),
        ]
        assert app.waiting_for() == []
        text = generate_latest(app.registry).decode()
        assert "processor_points_written_total 4.0" in text
        assert "processor_batches_total 1.0" in text


async def test_what_was_written_before_a_crash_and_not_acknowledged_is_stored_once(pipeline: Pipeline) -> None:
    bodies = [batch(0.1, 0.2, 0.3, first=number * 3) for number in range(50)]
    await pipeline.publish(*bodies)
    async with pipeline.running():
        await pipeline.settled()
    before = of_sqlite(pipeline.store)
    await pipeline.publish(*bodies)
    async with pipeline.running():
        await pipeline.settled()
    after = of_sqlite(pipeline.store)
    assert after[0] == before[0]
    assert not differences(after[1], rollups_of(before[0], Days()))
    assert len(before[0]) == 150


async def test_what_it_does_not_know_becomes_a_dead_letter_and_its_neighbours_are_stored(pipeline: Pipeline) -> None:
    future = b"\x93\x02\x00\x90"  # schema version 2
    broken = batch(float("nan"), 5.0, device="n")
    async with pipeline.running():
        await pipeline.publish(batch(1.0), future, batch(2.0, device="e"), b"not a batch", broken)
        await pipeline.settled()
        letters = await pipeline.dead_letters(3)
    assert [letter.reason for letter in letters] == [Reason.UNKNOWN_SCHEMA, Reason.UNKNOWN_SCHEMA, Reason.BAD_VALUE]
    assert [letter.payload for letter in letters] == [future, b"not a batch", broken]
    assert {(letter.service, letter.topic) for letter in letters} == {("processor", "telemetry.0")}
    assert "schema version 2" in letters[0].detail
    assert "'m' is nan" in letters[2].detail
    assert [(device, value) for device, _, value in pipeline.rows()] == [("d", 1.0), ("e", 2.0), ("n", 5.0)]


async def test_a_batch_that_breaks_us_costs_only_itself(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    def poisoned(partition: int, profile: str, device: str, metric: str, kind: Kind, days: Days) -> Series:
        if device == "poison":
            raise ZeroDivisionError
        return Series(partition, profile, device, metric, kind, days)

    monkeypatch.setattr("processor.engine.Series", poisoned)
    poison = batch(2.0, device="poison")
    await pipeline.publish(batch(1.0), poison, batch(3.0, first=8))
    async with pipeline.running():
        await pipeline.settled()
        [letter] = await pipeline.dead_letters(1)
    assert letter.reason == Reason.UNEXPECTED
    assert "ZeroDivisionError" in letter.detail
    assert letter.payload == poison
    assert [value for _, _, value in pipeline.rows()] == [1.0, 3.0]


async def test_it_starts_before_its_peers(stream: Server, tmp_path: Path) -> None:
    stream.kill()
    pipeline = Pipeline(stream, tmp_path / "store.sqlite3")
    async with pipeline.running() as app:
        await until(lambda: app.waiting_for() == ["stream server"], "it has its store, and says what is missing")
        stream.start()
        await until(lambda: app.waiting_for() == ["stream TELEMETRY"], "it found the server")
        await pipeline.connect()
        await pipeline.ensure()
        await until(lambda: app.waiting_for() == [], "it is ready")
        await pipeline.publish(batch(1.0))
        await until(lambda: pipeline.points() == 1, "it is stored")  # consumers are being made: none may say so yet
    await pipeline.link.close()


async def test_reading_goes_on_after_the_stream_server_was_killed(pipeline: Pipeline, stream: Server) -> None:
    async with pipeline.running() as app:
        await pipeline.publish(batch(1.0))
        await until(lambda: pipeline.points() == 1, "the first batch")
        stream.kill()
        await until(lambda: app.waiting_for() == ["stream server"], "it notices")
        stream.start()
        await until(lambda: pipeline.link.generation > 0 and pipeline.link.up, "the test's own link")
        await pipeline.publish(batch(2.0, first=1))
        await until(lambda: pipeline.points() == 2, "the second batch")
        await until(lambda: app.waiting_for() == [], "it is ready again")
        await pipeline.settled()


async def test_a_stream_that_is_made_anew_is_found(pipeline: Pipeline) -> None:
    async with pipeline.running() as app:
        await until(lambda: app.waiting_for() == [], "it is ready")
        await pipeline.link.js.delete_stream("TELEMETRY")
        await until(lambda: app.waiting_for() == ["stream TELEMETRY"], "it notices")
        await pipeline.ensure()
        await pipeline.publish(batch(1.0))
        await until(lambda: pipeline.points() == 1, "it reads the new stream")


async def test_a_partition_whose_consumer_has_a_later_epoch_than_any_lease_is_read_even_so(pipeline: Pipeline) -> None:
    """So it is when the leases were lost, and count from the beginning again."""
    await take_over(pipeline.link.js, streams.TELEMETRY, streams.PROCESSOR, 0, 9, "an owner of before")
    await pipeline.publish(batch(1.0))
    async with pipeline.running(lease_seconds=0.6):
        await pipeline.settled()
        names = [info.name for info in await consumers_of(pipeline.link.js, streams.TELEMETRY)]
        assert "processor-0-e10" in names
    assert pipeline.points() == 1


async def test_a_consumer_that_an_overtaken_owner_made_too_late_is_deleted(pipeline: Pipeline) -> None:
    js = pipeline.link.js
    late = (await js.consumer_info("TELEMETRY", "processor-0-e0")).config

    async def names() -> set[str]:
        return {info.name for info in await consumers_of(js, streams.TELEMETRY)}

    async with pipeline.running() as app:
        await until(lambda: owned(app) == streams.DEFAULT_PARTITIONS, "all is owned")
        async with asyncio.timeout(30):
            while "processor-0-e1" not in await names():
                await asyncio.sleep(0.01)
            await js.add_consumer("TELEMETRY", late)
            while "processor-0-e0" in await names():
                await asyncio.sleep(0.05)
        await pipeline.publish(batch(1.0))
        await pipeline.settled()
    assert pipeline.points() == 1


def owned(app: App) -> float | None:
    return app.registry.get_sample_value("processor_partitions_owned")


async def test_a_locked_store_holds_everything_and_goes_on_when_it_is_free(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processor.sqlite._BUSY_S", 0.05)
    async with pipeline.running() as app:
        await until(lambda: app.waiting_for() == [], "it is ready")
        with closing(sqlite3.connect(pipeline.store, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await pipeline.publish(batch(1.0), batch(2.0, first=1))
            await until(lambda: app.waiting_for() == ["time-series store"], "it says that it holds")
            assert await pipeline.unacknowledged() == 2
        await until(lambda: app.waiting_for() == [], "it is ready again")
        await pipeline.settled()
        assert pipeline.points() == 2
        assert (await pipeline.link.js.stream_info("DEADLETTERS")).state.messages == 0


async def test_a_folder_that_cannot_be_made_is_waited_for(pipeline: Pipeline) -> None:
    folder = pipeline.store.parent
    folder.write_text("in the way")  # chmod would not stop root, whom containers run as
    async with pipeline.running() as app:
        await pipeline.publish(batch(1.0))
        await until(lambda: app.waiting_for() == ["time-series store"], "it names what is missing")
        folder.unlink()
        await pipeline.settled()
        assert pipeline.points() == 1


async def test_stopping_acknowledges_what_was_written(pipeline: Pipeline) -> None:
    await pipeline.publish(*[batch(float(number), first=number) for number in range(300)])
    async with pipeline.running(commit_points=10):
        await until(lambda: pipeline.points() >= 20, "it is in the middle")
    left = await pipeline.unacknowledged()
    assert pipeline.points() == 300 - left
    assert 0 < left < 300
    async with pipeline.running():
        await pipeline.settled()
    assert pipeline.points() == 300


async def test_stopping_while_the_store_takes_nothing_is_quick(pipeline: Pipeline) -> None:
    pipeline.store.parent.write_text("in the way")
    async with pipeline.running() as app:
        await pipeline.publish(batch(1.0))
        await until(lambda: app.waiting_for() == ["time-series store"], "it names what is missing")
    assert await pipeline.unacknowledged() == 1


async def test_stopping_twice_and_before_the_start_works(pipeline: Pipeline) -> None:
    app = pipeline.app()
    await app.stop()
    other = pipeline.app()
    await other.start()
    await until(lambda: other.waiting_for() == [], "it is ready")
    await other.stop()
    await other.stop()


def test_a_store_of_a_newer_version_ends_the_process_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "store.sqlite3"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(SystemExit) as ended:
        App(Settings(store=path, nats_url=f"nats://127.0.0.1:{free_port()}"), logs.quiet())
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"PROCESSOR_STORE: {path} has schema version 99; this program knows 2 at most")
