"""A range of telemetry is deleted over HTTP: in order with the readings, by processor, with the real stream server."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.deletions import DELETION, LATEST, Deletion
from contracts.jetstream import ensure_stream
from contracts.readings import READING_BATCH, Reading, ReadingBatch
from contracts.streams import TELEMETRY, partition_of
from contracts.timeseries import HOUR, MINUTE
from tests.conftest import Server
from tests.integration import registry_service
from tests.integration.registry_service import Service
from tests.integration.test_processor_stream import Pipeline, batch
from tests.integration.test_processor_stream import until as eventually

SECOND = 1_000_000_000


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
    async with registry_service.running(stream, tmp_path) as service:
        await service.ready()
        await service.register("d")
        yield service


def minute(begin: int, *values: float) -> bytes:
    readings = [Reading("d", begin + at * SECOND, begin, {"m": value}) for at, value in enumerate(values)]
    return READING_BATCH.encode(ReadingBatch(1, 0, readings))


async def state_of(service: Service, path: str) -> str:
    return str((await service.get(path))["state"])


async def test_what_was_sent_before_is_deleted_and_what_comes_later_stays(pipeline: Pipeline, service: Service) -> None:
    assert partition_of("d", 1) == 0
    now = time.time_ns()  # noqa: TID251 - a test plays the devices, which have clocks
    begin = now // HOUR * HOUR - HOUR  # what is too old is not stored
    await pipeline.publish(minute(begin, 1.0, 2.0, 3.0))
    query = {"metric": "m", "start": str(begin + SECOND), "end": str(begin + MINUTE)}
    answer = await service.client.delete("/devices/d/telemetry", params=query)
    assert answer.status_code == 202, answer.text
    requested = answer.json()
    assert (requested["state"], requested["by"]) == ("requested", "root")
    path = f"/devices/d/telemetry/deletions/{requested['id']}"
    assert answer.headers["location"] == f"/api/v1{path}"
    assert await state_of(service, path) == "requested"
    await pipeline.publish(minute(begin + 2 * SECOND, 7.0))
    async with pipeline.running():
        await registry_service.until(lambda: _is(service, path, "done"), "deleted")
        await pipeline.settled()
    assert (await service.get(path))["points"] == 2
    assert pipeline.rows() == [("d", begin, 1.0), ("d", begin + 2 * SECOND, 7.0)]
    assert pipeline.rows("SELECT count, sum FROM rollup_1h") == [(2, 8.0)]
    [entry] = (await service.get("/audit", action="telemetry.delete"))["items"]
    assert (entry["target"], entry["after"]["metrics"]) == ("device/d", ["m"])


async def _is(service: Service, path: str, state: str) -> bool:
    return await state_of(service, path) == state


@pytest.mark.parametrize(
    ("query", "slug"),
    [
        ({"metric": "m"}, "range-missing"),
        ({"start": "1", "end": "2"}, "range-missing"),
        ({"metric": "m", "start": "2", "end": "2"}, "bad-time"),
        ({"all": "true", "metrics": "m"}, "unknown-parameter"),
    ],
)
async def test_a_range_that_is_not_named_whole_is_refused(service: Service, query: dict[str, str], slug: str) -> None:
    answer = await service.client.delete("/devices/d/telemetry", params=query)
    assert (answer.status_code, answer.json()["type"]) == (400, f"urn:sensorium:problem:{slug}")


async def test_unknown_devices_and_deletions_are_not_found(service: Service) -> None:
    answer = await service.client.delete("/devices/e/telemetry", params={"all": "true"})
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:sensorium:problem:unknown-device")
    answer = await service.client.get("/devices/d/telemetry/deletions/none")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:sensorium:problem:unknown-deletion")


async def test_a_deletion_that_cannot_be_meant_becomes_a_dead_letter(pipeline: Pipeline) -> None:
    await pipeline.ensure()
    await pipeline.publish(batch(1.0), DELETION.encode(Deletion(1, "x", "d", [], 9, LATEST, 1)).replace(b"x", b"."))
    async with pipeline.running():
        await pipeline.settled()
    [letter] = await pipeline.dead_letters(1)
    assert (letter.reason, letter.device) == ("malformed", "d")
    await eventually(lambda: pipeline.points() == 1, "the reading stays")
