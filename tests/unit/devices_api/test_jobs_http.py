"""Jobs over HTTP: devices in from a file and out into one, row by row."""

import functools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import func, select

from contracts import logs
from devices_api.access import ROOT, Principal, Scope
from devices_api.database import transaction
from devices_api.jobs import job_repository, jobs
from devices_api.jobs.job_devices import DeviceExport, DeviceImport
from devices_api.jobs.job_runner import KEPT_NS, Build, Runner
from devices_api.registry.groups import NewGroup
from devices_api.repository import Repository
from devices_api.tables import outbox
from devices_api.tables_jobs import job_file
from tests.unit.devices_api.conftest import NOW, Service, StoreFile, problem

CSV = """id,name,tags.site,attributes.serial,attributes.floor,groups,location.latitude,location.longitude,enabled
pump-1,Pump One,north,0042,2,north;plant,48.86,2.35,true
pump-2,,south,,,,,,false
"pump/3",,,,,,,,
pump-1,,,,,,,,
pump-4,,,,,nowhere,,,
pump-5,,,,,,91,2,
pump-6,too,few
"""


def runner_of(service: Service) -> Runner:
    assert service.registry is not None
    builds: dict[str, Build] = {
        jobs.Kind.IMPORT_DEVICES: functools.partial(DeviceImport, has=service.timeseries.has),
        jobs.Kind.EXPORT_DEVICES: DeviceExport,
    }
    return Runner(service.registry.jobs, builds, lambda: None, service.metrics, logs.quiet(), service.clock.now)


async def start(service: Service, path: str, content: str | bytes = "", **query: str) -> str:
    service.clock.passed += 1  # jobs are in the order in which they were made
    answer = await service.client.post(f"/jobs/{path}", params=query, content=content)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/api/v1/jobs/{answer.json()['id']}"
    return str(answer.json()["id"])


async def done(service: Service, path: str, content: str | bytes = "", **query: str) -> Any:  # noqa: ANN401 - JSON
    id_ = await start(service, path, content, **query)
    assert await runner_of(service).one()
    return await service.get(f"/jobs/{id_}")


async def problems(service: Service, job: Any) -> list[tuple[int, str | None, str]]:  # noqa: ANN401 - JSON
    page = await service.get(f"/jobs/{job['id']}/report")
    return [(item["row"], item["device"], item["problem"]) for item in page["items"]]


@pytest.fixture
async def grouped(service: Service) -> Service:
    assert service.registry is not None
    await service.registry.groups.create(NewGroup("plant", "Plant", None), ROOT, NOW)
    await service.registry.groups.create(NewGroup("north", "North", "plant"), ROOT, NOW)
    return service


async def test_each_row_is_applied_or_reported_and_a_dry_run_says_the_same(grouped: Service) -> None:
    service = grouped
    dry = await done(service, "import/devices", CSV, format="csv", mode="create", dry_run="true")
    assert (await service.get("/devices"))["items"] == []
    real = await done(service, "import/devices", CSV, format="csv", mode="create")
    for job in (dry, real):
        assert (job["state"], job["error"]) == ("succeeded", None)
        assert (job["progress"], job["applied"], job["rejected"]) == ({"done": 7, "total": 7}, 2, 5)
        told = await problems(service, job)
        assert [(row, device) for row, device, _ in told] == [
            (3, "pump/3"),
            (4, "pump-1"),
            (5, "pump-4"),
            (6, "pump-5"),
            (7, None),
        ]
        for said, expected in zip(told, ("topic", "already", "nowhere", "location.latitude", "cells"), strict=True):
            assert expected in said[2]
    first = await service.get("/devices/pump-1")
    assert (first["name"], first["tags"], first["groups"]) == ("Pump One", {"site": "north"}, ["north", "plant"])
    assert first["attributes"] == {"serial": "0042", "floor": 2}
    assert first["location"] == {"latitude": 48.86, "longitude": 2.35}
    assert (await service.get("/devices/pump-2"))["enabled"] is False
    assert [item["id"] for item in (await service.get("/devices", search="north"))["items"]] == ["pump-1"]
    [entry] = (await service.get("/audit", target="device/pump-1"))["items"]
    assert (entry["action"], entry["who"], entry["after"]["tags"]) == ("device.create", "root", {"site": "north"})
    async with transaction(service.registry._engine) as db:  # type: ignore[union-attr]  # noqa: SLF001 - a look inside
        assert await db.scalar(select(func.count()).select_from(outbox)) == 2
    ended = (await service.get("/audit", action="job.end"))["items"]
    assert [entry["after"]["applied"] for entry in ended] == [2, 2]


@pytest.mark.parametrize("format_", ["csv", "jsonl"])
async def test_what_is_exported_and_imported_again_changes_nothing(grouped: Service, format_: str) -> None:
    service = grouped
    rows: list[dict[str, Any]] = [
        {"id": "a", "name": 'a "quoted",\r\nname', "tags": {"k;": ""}},
        {"id": "b", "attributes": {"n": [1, 2.5, None], "s": "42"}, "groups": ["north"], "zone": "Europe/Paris"},
        {"id": "c", "calibration": {"t": [{"since": "1", "scale": 2.0}]}, "enabled": False},
        {"id": "ü", "location": {"latitude": -0.1, "longitude": 1e-7}},
    ]
    for row in rows:
        assert (await service.client.post("/devices", json=row)).status_code == 201
    job = await done(service, "export/devices", format=format_)
    assert job["progress"] == {"done": 4, "total": 4}
    file = await service.client.get(f"/jobs/{job['id']}/result")
    assert file.status_code == 200
    assert int(file.headers["content-length"]) == len(file.content)
    streamed = await service.client.get("/device-export", params={"format": format_})
    assert streamed.content == file.content
    before = await service.get("/devices")
    for mode, applied in (("update", 4), ("upsert", 4), ("create", 0)):
        job = await done(service, "import/devices", file.content, format=format_, mode=mode)
        assert (job["applied"], job["rejected"]) == (applied, 4 - applied), await problems(service, job)
    assert await service.get("/devices") == before
    for row in rows:
        answer = await service.client.delete(f"/devices/{row['id']}", params={"purge": "true"})
        assert answer.status_code == 204, answer.text
    job = await done(service, "import/devices", file.content, format=format_, mode="create")
    assert job["applied"] == 4, await problems(service, job)
    assert (await service.client.get("/device-export", params={"format": format_})).content == file.content


async def test_an_export_has_what_its_filter_takes(service: Service) -> None:
    for id_, site in (("a", "north"), ("b", "south")):
        await service.client.post("/devices", json={"id": id_, "tags": {"site": site}})
    job = await done(service, "export/devices", format="jsonl", filter='tags.site eq "south"')
    file = await service.client.get(f"/jobs/{job['id']}/result")
    assert [json.loads(line)["id"] for line in file.text.splitlines()] == ["b"]
    query = {"format": "jsonl", "filter": 'tags.site eq "south"'}
    assert (await service.client.get("/device-export", params=query)).text == file.text


async def test_what_is_not_said_stays_and_what_is_deleted_is_not_touched(service: Service) -> None:
    for id_ in ("a", "b"):
        await service.client.post("/devices", json={"id": id_, "name": "A", "tags": {"k": "v"}, "enabled": False})
    await service.client.delete("/devices/b")
    rows = '{"id": "a", "name": "B"}\n\n{"id": "b"}\n{"id": "c"}\n[]\n{"id": "d", "is": 1}\n{"id": "a", "name": "C"}\n'
    job = await done(service, "import/devices", rows, format="jsonl", mode="upsert")
    assert (job["applied"], job["rejected"], job["progress"]["total"]) == (3, 3, 6)
    assert [row for row, _, _ in await problems(service, job)] == [2, 4, 5]
    found = await service.get("/devices/a")
    assert (found["name"], found["tags"], found["enabled"], found["version"]) == ("C", {"k": "v"}, False, 3)
    names = [e["after"]["name"] for e in (await service.get("/audit", target="device/a"))["items"][:2]]
    assert names == ["C", "B"]
    job = await done(service, "import/devices", '{"id": "zz"}', format="jsonl", mode="update")
    assert (await problems(service, job))[0][1:] == ("zz", "no device with this id is registered")


async def test_a_key_that_is_limited_to_groups_imports_and_sees_within_them(grouped: Service) -> None:
    service = grouped
    await service.client.post("/devices", json={"id": "out"})
    await service.client.post("/devices", json={"id": "both", "groups": ["plant", "north"]})
    limited = Principal("limited", frozenset({Scope.READ, Scope.WRITE}), frozenset({"north"}))

    async def authenticate(_: object) -> Principal:
        return limited

    root = service.app.state.authenticate
    own = await start(service, "import/devices", '{"id": "x"}', format="jsonl")
    await runner_of(service).one()
    service.app.state.authenticate = authenticate
    rows = [{"id": "in", "groups": ["north"]}, {"id": "none"}, {"id": "up", "groups": ["plant"]}, {"id": "out"}]
    rows += [{"id": "both", "groups": ["north"], "name": "B"}]
    file = "\n".join(map(json.dumps, rows))
    job = await done(service, "import/devices", file, format="jsonl")
    told = await problems(service, job)
    assert [(device, said.split()[0]) for _, device, said in told] == [("none", "the"), ("up", "there"), ("out", "a")]
    exported = await done(service, "export/devices", format="jsonl")
    file = (await service.client.get(f"/jobs/{exported['id']}/result")).text
    assert [json.loads(line)["id"] for line in file.splitlines()] == ["both", "in"]
    assert [item["id"] for item in (await service.get("/jobs"))["items"]] == [exported["id"], job["id"]]
    for method, path in (("GET", ""), ("GET", "/report"), ("GET", "/result"), ("DELETE", "")):
        answer = await service.client.request(method, f"/jobs/{own}{path}")
        assert problem(answer) == (404, "unknown-job")
    service.app.state.authenticate = root
    assert (await service.get("/devices/both"))["groups"] == ["north", "plant"], "what it does not see stays"
    assert len((await service.get("/jobs", limit=2))["items"]) == 2


async def test_a_limited_key_gets_nothing_of_others_by_an_import_or_an_older_result(
    grouped: Service, store: StoreFile
) -> None:
    service = grouped
    store.write("freed", "t", [(NOW, 1.0)])
    views = [frozenset({"north", "plant"}), frozenset({"north"})]

    async def authenticate(_: object) -> Principal:
        return Principal("limited", frozenset({Scope.READ, Scope.WRITE}), views[0])

    service.app.state.authenticate = authenticate
    row = json.dumps({"id": "freed", "groups": ["north"]})
    for dry_run in ("true", "false"):
        job = await done(service, "import/devices", row, format="jsonl", dry_run=dry_run)
        assert [said for _, _, said in await problems(service, job)] == ["a device with this id is registered already"]
    exported = await done(service, "export/devices", format="jsonl")
    assert (await service.client.get(f"/jobs/{exported['id']}/result")).status_code == 200
    views.pop(0)
    assert problem(await service.client.get(f"/jobs/{exported['id']}/result")) == (404, "unknown-job")


async def test_files_that_cannot_be_read_fail_with_a_reason(service: Service) -> None:
    for content, said in (("id,colour\na,b\n", "'colour'"), ("", "empty"), ('id,name\na,"b\n', "not closed")):
        job = await done(service, "import/devices", content, format="csv")
        assert (job["state"], job["applied"]) == ("failed", 0)
        assert said in job["error"]
    job = await done(service, "import/devices", b'\xef\xbb\xbf{"id": "a"}\r\n\xff\n' + b"x" * 300_000, format="jsonl")
    assert [row for row, _, _ in await problems(service, job)] == [2, 3]
    assert job["applied"] == 1


async def test_a_job_can_be_cancelled_and_too_many_are_refused(service: Service, registry: Repository) -> None:
    ids = [await start(service, "export/devices") for _ in range(20)]
    answer = await service.client.post("/jobs/export/devices")
    assert problem(answer) == (429, "too-many-jobs")
    assert "retry-after" in answer.headers
    answer = await service.client.delete(f"/jobs/{ids[0]}")
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    await start(service, "export/devices")
    claimed = await registry.jobs.claim("me", service.clock.now())
    assert claimed is not None
    assert claimed.id == ids[1]
    await service.client.delete(f"/jobs/{ids[1]}")
    with pytest.raises(jobs.LostError):
        await registry.jobs.renew(claimed, service.clock.now())
    assert problem(await service.client.get(f"/jobs/{ids[1]}/result")) == (409, "no-result")
    assert problem(await service.client.get("/jobs/none")) == (404, "unknown-job")
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await service.get("/jobs", limit=7, **cursor)
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert len(seen) == len(set(seen)) == 21


async def disconnected(service: Service) -> int:
    """Send a body of which only the beginning comes; gives the status that is answered."""
    coming = iter(
        [{"type": "http.request", "body": b"x" * (300 << 10), "more_body": True}, {"type": "http.disconnect"}]
    )
    sent: list[Any] = []

    async def receive() -> Any:  # noqa: ANN401 - ASGI
        return next(coming)

    async def send(message: Any) -> None:  # noqa: ANN401 - ASGI
        sent.append(message)

    headers = [(b"authorization", service.client.headers["authorization"].encode())]
    path = "/api/v1/jobs/import/devices"
    scope: Any = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    await service.app(scope | {"headers": headers, "client": ("127.0.0.1", 1), "root_path": ""}, receive, send)
    return int(sent[0]["status"])


async def test_a_file_that_breaks_off_or_is_too_large_leaves_nothing(service: Service, registry: Repository) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"x" * (300 << 10)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await service.client.post("/jobs/import/devices", content=breaking())
    assert (await service.get("/jobs"))["items"] == []
    assert await disconnected(service) == 400
    assert (await service.get("/jobs"))["items"] == []
    new = jobs.NewJob(jobs.Kind.IMPORT_DEVICES, {"format": "csv", "mode": "create"})
    left = await registry.jobs.begin(new, ROOT, NOW, 9, uploading=True)
    await registry.jobs.append(left.id, 0, b"x", NOW)
    assert await registry.jobs.claim("me", NOW + KEPT_NS) is None
    assert await registry.jobs.drop(0, NOW, 9) == 0
    assert await registry.jobs.drop(0, NOW + job_repository.UPLOAD_NS + 1, 9) == 2
    async with transaction(registry._engine) as db:  # noqa: SLF001 - a look inside
        assert await db.scalar(select(func.count()).select_from(job_file)) == 0


async def test_jobs_are_kept_for_a_week_and_their_files_for_as_long_as_they_are_needed(
    service: Service, registry: Repository
) -> None:
    await done(service, "import/devices", '{"id": "a"}', format="jsonl")
    assert [await registry.jobs.drop_files(9), await registry.jobs.drop_files(9)] == [1, 0]
    job = await done(service, "export/devices")
    assert await registry.jobs.drop_files(9) == 0
    assert (await service.client.get(f"/jobs/{job['id']}/result")).status_code == 200
    service.clock.passed += KEPT_NS / 1e9 + 1
    before = service.clock.now() - KEPT_NS
    assert [await registry.jobs.drop(before, service.clock.now(), 9) for _ in range(3)] == [1, 2, 0]
    assert (await service.get("/jobs"))["items"] == []
