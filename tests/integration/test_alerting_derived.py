"""Rules over computed metrics: from a DerivedBatch on the real stream to the receiver, each alert once."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.aio.msg import Msg

from alerting.app import App
from contracts.deadletters import DEAD_LETTER
from contracts.derived import DERIVED_BATCH, DerivedBatch, Window
from contracts.jetstream import ensure_stream
from contracts.readings import Reading
from contracts.streams import DEADLETTERS, DERIVED, deadletter_subject
from tests.conftest import Server
from tests.integration.alerting_service import Bench, benching, receiving, until

MINUTE = 60_000_000_000


@pytest.fixture
async def bench(stream: Server, tmp_path: Path) -> AsyncIterator[Bench]:
    with receiving() as receiver:
        async with benching(stream, tmp_path, receiver) as bench:
            await bench.connect()
            yield bench


async def compute(bench: Bench, *values: float, windows: int = 0) -> list[bytes]:
    """Publish each value of the computed metric as a batch of its own, as processor does; returns the messages."""
    messages = []
    for value in values:
        bench.clock += 1_000_000
        window = Window("lathe-2", "lathe", "power", "1m", 0, MINUTE, 1, value, value, 0.0, value, value, value)
        reading = Reading("lathe-2", bench.clock, bench.clock, {"power": value}, profile="lathe")
        messages.append(DERIVED_BATCH.encode(DerivedBatch(1, 0, [window] * windows, [reading])))
        await bench.publisher.publish("derived.0", messages[-1])
    return messages


async def rule(bench: Bench) -> None:
    await bench.add_rule(name="too much power", metric="power", value=100, clear=None)


def count(app: App, name: str, **labels: str) -> float:
    return app.registry.get_sample_value(f"alerting_{name}", labels) or 0


def taken(bench: Bench) -> list[str]:
    return [event["state"] for event in bench.receiver.taken]


async def acknowledged(bench: Bench) -> int:
    info = await bench.link.js.consumer_info("DERIVED", "alerting")
    return info.ack_floor.stream_seq if info.ack_floor else 0


async def test_a_rule_over_a_computed_metric_fires_once_and_resolves(bench: Bench) -> None:
    await ensure_stream(bench.link.js, DERIVED)
    async with bench.service() as app:
        await rule(bench)
        await compute(bench, 90.0, 101.0, 130.0, 99.0)
        await until(lambda: len(taken(bench)) == 2)
        await until(lambda: count(app, "readings_total", stream="DERIVED") == 4)
        [alert] = await bench.alerts()
    assert taken(bench) == ["firing", "resolved"]
    assert (alert["device"], alert["metric"], alert["value"], alert["state"]) == ("lathe-2", "power", 99.0, "resolved")


async def test_what_is_published_again_fires_nothing_new(bench: Bench) -> None:
    await ensure_stream(bench.link.js, DERIVED)
    async with bench.service() as app:
        await rule(bench)
        messages = await compute(bench, 101.0, 50.0)
        await until(lambda: len(taken(bench)) == 2)
        for message in messages:
            await bench.publisher.publish("derived.0", message)
        await until(lambda: count(app, "skipped_total", reason="late") == 2)
        assert len(await bench.alerts()) == 1
    assert taken(bench) == ["firing", "resolved"]


async def test_what_was_committed_and_not_acknowledged_is_skipped_after_a_restart(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ensure_stream(bench.link.js, DERIVED)

    async def lost(_: Msg) -> None:
        """Acknowledge to nobody."""

    with monkeypatch.context() as patch:
        patch.setattr(Msg, "ack", lost)
        async with bench.service():
            await rule(bench)
            await compute(bench, 101.0)
            await until(lambda: taken(bench) == ["firing"])
    async with bench.service() as app:
        await until(lambda: count(app, "messages_total", stream="DERIVED", outcome="repeated") == 1)
        await compute(bench, 120.0, 50.0)
        await until(lambda: len(taken(bench)) == 2)
        await until(lambda: count(app, "messages_total", stream="DERIVED", outcome="evaluated") == 2)
        assert len(await bench.alerts()) == 1
    assert taken(bench) == ["firing", "resolved"]


async def test_windows_are_counted_and_acknowledged(bench: Bench) -> None:
    await ensure_stream(bench.link.js, DERIVED)
    async with bench.service() as app:
        await compute(bench, 1.0, 2.0, windows=3)
        await until(lambda: count(app, "windows_total") == 6)

        async def all_are() -> bool:
            return await acknowledged(bench) == 2

        await until(all_are)


async def test_without_derived_values_readings_are_evaluated_and_they_are_once_they_come(bench: Bench) -> None:
    async with bench.service() as app:
        await rule(bench)
        await bench.add_rule()
        await bench.publish(31.0)
        await until(lambda: taken(bench) == ["firing"])
        assert (count(app, "attached", stream="TELEMETRY"), count(app, "attached", stream="DERIVED")) == (1, 0)
        await ensure_stream(bench.link.js, DERIVED)
        await compute(bench, 101.0)
        await until(lambda: len(taken(bench)) == 2)
        await bench.link.js.delete_stream("DERIVED")
        await until(lambda: count(app, "attached", stream="DERIVED") == 0)
        assert app.waiting_for() == []
        await bench.publish(20.0)
        await until(lambda: len(taken(bench)) == 3)
        await ensure_stream(bench.link.js, DERIVED)
        await compute(bench, 50.0)
        await until(lambda: len(taken(bench)) == 4)
    assert taken(bench) == ["firing", "firing", "resolved", "resolved"]


async def test_what_the_stream_gave_up_before_it_was_read_is_counted(bench: Bench) -> None:
    await ensure_stream(bench.link.js, DERIVED)
    async with bench.service() as app:
        await compute(bench, 1.0, 2.0)

        async def both_are() -> bool:
            return await acknowledged(bench) == 2

        await until(both_are)
    config = (await bench.link.js.stream_info("DERIVED")).config
    await bench.link.js.update_stream(config.evolve(max_msgs=2))
    await compute(bench, 101.0, 102.0, 103.0, 50.0, 50.0)
    async with bench.service() as app:
        await until(lambda: count(app, "messages_total", stream="DERIVED", outcome="evaluated") == 2)
        assert count(app, "messages_total", stream="DERIVED", outcome="missed") == 3


async def test_derived_values_that_cannot_be_settled_hold_up_no_reading(bench: Bench) -> None:
    await ensure_stream(bench.link.js, DERIVED)
    await ensure_stream(bench.link.js, DEADLETTERS)
    config = (await bench.link.js.stream_info("DEADLETTERS")).config
    await bench.link.js.update_stream(config.evolve(max_msg_size=10))  # it takes no dead letter
    async with bench.service():
        await rule(bench)
        await bench.add_rule()
        await bench.publisher.publish("derived.0", b"no batch")
        await compute(bench, 101.0)
        await bench.publish(31.0, 20.0)
        await until(lambda: taken(bench) == ["firing", "resolved"])
        assert await acknowledged(bench) == 0
        await bench.link.js.update_stream(config)
        await until(lambda: taken(bench) == ["firing", "resolved", "firing"])
    assert bench.receiver.taken[-1]["metric"] == "power"


async def test_a_derived_batch_of_an_unknown_version_is_dead_lettered_and_its_neighbours_evaluated(
    bench: Bench,
) -> None:
    await ensure_stream(bench.link.js, DERIVED)
    async with bench.service() as app:
        await rule(bench)
        unknown = DERIVED_BATCH.encode(DerivedBatch(2, 0, [], []))  # type: ignore[arg-type]
        await bench.publisher.publish("derived.3", unknown)
        await compute(bench, 101.0)
        await until(lambda: taken(bench) == ["firing"])
        assert count(app, "messages_total", stream="DERIVED", outcome="dead_lettered") == 1
        message = await bench.link.js.get_msg("DEADLETTERS", subject=deadletter_subject("unknown_schema"))
    letter = DEAD_LETTER.decode(message.data or b"")
    assert (letter.payload, letter.topic, letter.service) == (unknown, "derived.3", "alerting")
