"""Where a reading came from, asked over HTTP, with the real stream server and what processor has stored."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.jetstream import ensure_stream
from contracts.readings import READING_BATCH, Reading, ReadingBatch
from contracts.streams import TELEMETRY
from contracts.times import format_time
from devices_api.telemetry import provenance
from tests.conftest import Server
from tests.integration.registry_service import Service, running, until
from tests.integration.test_processor_stream import Pipeline


@pytest.fixture
async def pipeline(stream: Server, tmp_path: Path) -> AsyncIterator[Pipeline]:
    pipeline = Pipeline(stream, tmp_path / "timeseries.sqlite3")
    await pipeline.connect()
    await ensure_stream(pipeline.link.js, TELEMETRY, partitions=1)
    yield pipeline
    await pipeline.link.close()


@pytest.fixture
async def service(stream: Server, pipeline: Pipeline, tmp_path: Path) -> AsyncIterator[Service]:
    assert pipeline.store.parent == tmp_path
    async with running(stream, tmp_path) as service:
        await service.ready()
        await service.register("d")
        yield service


async def test_each_delivery_is_told_while_it_is_on_the_stream_and_what_is_stored_after_that(
    pipeline: Pipeline, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time_ns()  # noqa: TID251 - a test plays the devices, which have clocks
    for received, value, route in ((now + 1, 2.0, "json"), (now + 9, 3.0, "senml")):
        reading = Reading("d", now, received, {"m": value}, {"clock": "12"}, route=route)
        other = Reading("d", now + 1, received, {"m": 7.0}, route=route)
        await pipeline.publish(READING_BATCH.encode(ReadingBatch(1, 0, [other, reading])))
    monkeypatch.setattr(provenance, "MOST_MESSAGES", 1)
    about = {"metric": "m", "ts": str(now)}
    first = await service.get("/devices/d/telemetry/provenance", **about)
    [delivery] = first["deliveries"]
    assert (delivery["sequence"], delivery["route"], delivery["value"]) == (1, "json", 2.0)
    assert first["looked"] == {"stream": "TELEMETRY", "partition": 0, "first": 1, "last": 1}
    second = await service.get("/devices/d/telemetry/provenance", **about, cursor=first["next"])
    assert ([one["sequence"] for one in second["deliveries"]], second["next"]) == ([2], None)
    await pipeline.link.js.delete_consumer("TELEMETRY", "alerting-0-e0")
    async with pipeline.running():
        await pipeline.settled()
        await until(lambda: _empty(pipeline), "the stream has forgotten what all have read")
    after = await service.get("/devices/d/telemetry/provenance", **about)
    assert (after["deliveries"], after["next"], after["looked"]["last"]) == ([], None, 2)
    kept = {"profile": "default", "value": 3.0, "received": format_time(now + 9), "flags": {"clock": "12"}}
    assert after["stored"] == [kept]
    answer = await service.client.get("/devices/e/telemetry/provenance", params=about)
    assert answer.status_code == 404


async def _empty(pipeline: Pipeline) -> bool:
    return (await pipeline.link.js.stream_info("TELEMETRY")).state.messages == 0
