"""Telemetry is imported as a job: through the stream and processor, into the store that the API reads."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from contracts.jetstream import ensure_stream
from contracts.readings import READING_BATCH, Reading, ReadingBatch, Value
from contracts.streams import TELEMETRY, partition_of, telemetry_subject
from contracts.timeseries import HOUR
from devices_api.access import ROOT
from devices_api.jobs.job_telemetry import TelemetryImport
from devices_api.jobs.jobs import Kind, NewJob
from devices_api.telemetry.exporting import Format
from tests.conftest import Server
from tests.integration import registry_service
from tests.integration.registry_service import Service
from tests.integration.test_processor_stream import Pipeline

SECOND = 1_000_000_000


@pytest.fixture
async def pipeline(stream: Server, tmp_path: Path) -> AsyncIterator[Pipeline]:
    pipeline = Pipeline(stream, tmp_path / "timeseries.sqlite3")
    await pipeline.connect()
    await ensure_stream(pipeline.link.js, TELEMETRY, partitions=2)
    yield pipeline
    await pipeline.link.close()


@pytest.fixture
async def service(stream: Server, pipeline: Pipeline, tmp_path: Path) -> AsyncIterator[Service]:
    assert pipeline.store.parent == tmp_path
    async with registry_service.running(stream, tmp_path) as service:
        await service.ready()
        yield service


async def imported(service: Service, content: bytes, **query: str) -> Any:  # noqa: ANN401 - JSON
    answer = await service.client.post("/jobs/import/telemetry", params=query, content=content)
    assert answer.status_code == 202, answer.text
    job: Any = {}

    async def ended() -> bool:
        job.update(await service.get(f"/jobs/{answer.json()['id']}"))
        return job["state"] not in ("queued", "running")

    await registry_service.until(ended, "the job has ended", 30)
    return job


async def exported(service: Service, format_: Format) -> bytes:
    answer = await service.client.get("/telemetry/export", params={"format": format_})
    assert answer.status_code == 200, answer.text
    return answer.content


async def purged(service: Service, pipeline: Pipeline) -> None:
    """Delete all points, in order with what was published before."""
    for device in ("d", "e"):
        query = {"all": "true"}
        answer = await service.client.delete(f"/devices/{device}/telemetry", params=query)
        assert answer.status_code == 202, answer.text
    await pipeline.settled()
    await registry_service.until(lambda: pipeline.points() == 0, "deleted")


async def test_what_was_exported_is_there_again_after_its_import(pipeline: Pipeline, service: Service) -> None:
    await service.register("d", "e")
    now = time.time_ns()  # noqa: TID251 - a test plays the devices, which have clocks
    begin = now // HOUR * HOUR - HOUR  # what is too old is not stored
    values: list[Value] = [1.5, True, 'a, "b"\r\nc', "", -0.1]
    for device in ("d", "e"):
        partition = partition_of(device, 2)
        readings = [
            Reading(device, begin + number * SECOND, begin, {"v": value, "n": float(number)})
            for number, value in enumerate(values)
        ]
        batch = READING_BATCH.encode(ReadingBatch(1, partition, readings))
        await pipeline.publisher.publish(telemetry_subject(partition), batch)
    async with pipeline.running():
        await pipeline.settled()
        files = {format_: await exported(service, format_) for format_ in Format}
        for format_, file in files.items():
            await purged(service, pipeline)
            dry = await imported(service, file, format=format_, dry_run="true")
            assert (dry["applied"], pipeline.points()) == (20, 0)
            job = await imported(service, file, format=format_)
            assert (job["state"], job["applied"], job["progress"]) == ("succeeded", 20, {"done": 20, "total": 20})
            await pipeline.settled()
            await registry_service.until(lambda: pipeline.points() == 20, "stored")
            assert {of: await exported(service, of) for of in Format} == files
        place = {"metric": "n", "ts": str(begin)}
        kept = (await service.get("/devices/d/telemetry/provenance", **place))["stored"]
        assert [point["flags"] for point in kept] == [{"imported": job["id"]}]


async def test_rows_of_devices_that_there_are_not_are_reported(pipeline: Pipeline, service: Service) -> None:
    await service.register("d")
    ts = time.time_ns() - SECOND  # noqa: TID251 - as above
    rows = [f"d,m,{ts},1,,", f"x,m,{ts},1,,", "d,m,never,1,,", f"d,m,{ts + 1},,true,"]
    file = "\n".join(["device,metric,ts,number,boolean,text", *rows]).encode()
    job = await imported(service, file)
    assert (job["applied"], job["rejected"]) == (2, 2)
    report = (await service.get(f"/jobs/{job['id']}/report"))["items"]
    assert [(item["row"], item["device"]) for item in report] == [(2, "x"), (3, "d")]
    async with pipeline.running():
        await pipeline.settled()
        await registry_service.until(lambda: pipeline.points() == 2, "stored")


async def test_a_step_that_is_done_once_more_after_a_crash_is_on_the_stream_once(
    pipeline: Pipeline, service: Service, tmp_path: Path
) -> None:
    await service.register("d", "e")
    ts = time.time_ns() - SECOND  # noqa: TID251 - as above
    path = tmp_path / "points.csv"
    rows = [f"{device},m,{ts + number},1,," for number in range(100) for device in ("d", "e")]
    path.write_text("\n".join(["device,metric,ts,number,boolean,text", *rows]))
    registry, stream = service.app._registry(), service.app._stream  # noqa: SLF001 - the runner's place is taken here
    new = NewJob(Kind.IMPORT_TELEMETRY, {"format": "csv"})
    job = await registry.jobs.begin(new, ROOT, ts, 9, uploading=True)  # the service's own runner does not take it
    for _ in range(2):
        steps = TelemetryImport(job, path, registry.addressed, stream, lambda: ts)
        await steps.ahead(job)
        steps.close()
    state = (await pipeline.link.js.stream_info(TELEMETRY.name)).state
    assert state.messages == len({partition_of(device, 2) for device in ("d", "e")})
    async with pipeline.running():
        await pipeline.settled()
        await registry_service.until(lambda: pipeline.points() == 200, "stored")
