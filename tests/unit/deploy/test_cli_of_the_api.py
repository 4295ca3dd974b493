"""`sensorium devices` and its like: what they ask, what they print, and how they end."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from deploy.cli.errors import ApiError
from deploy.local.cli import app

KEY = "a-key-for-these-tests"

Answer = Callable[[httpx.Request], httpx.Response]


FIXED: dict[str, dict[str, Any]] = {
    "/jobs/import/devices": {"json": {"id": "7", "state": "queued", "applied": 0, "rejected": 0}},
    "/jobs/7": {"json": {"id": "7", "state": "succeeded", "applied": 2, "rejected": 1}},
    "/device-export": {"content": b"id,name\r\npump-1,Pump\r\n"},
    "/events": {"content": b'retry: 2000\n\nid: 1\nevent: reading\ndata: {"device":"pump-1"}\n\n'},
}


class FakeApi:
    """Devices in a dictionary, listed two a page; what else is asked has one answer, or none."""

    def __init__(self) -> None:
        self.devices: dict[str, dict[str, Any]] = {}
        self.asked: list[httpx.Request] = []
        self.uploaded = b""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        path = request.url.path.removeprefix("/api/v1")
        if request.headers["authorization"] != f"Bearer {KEY}":
            return self.problem(401, "Unauthorized", "There is no such key.")
        if path == "/devices":
            return self._list(request) if request.method == "GET" else self._add(json.loads(request.content))
        if path.startswith("/devices/"):
            return self._one(request.method, path.removeprefix("/devices/"), request)
        if path == "/jobs/import/devices":
            self.uploaded = request.content
        fixed = FIXED.get(path)
        return (
            self.problem(404, "Not Found", "There is no such path.") if fixed is None else httpx.Response(200, **fixed)
        )

    def _list(self, request: httpx.Request) -> httpx.Response:
        query = dict(request.url.params)
        after, limit = query.get("cursor", ""), min(2, int(query["limit"]))
        ids = sorted(id_ for id_ in self.devices if id_ > after)
        following = ids[limit - 1] if len(ids) > limit else None
        return httpx.Response(200, json={"items": [self.devices[id_] for id_ in ids[:limit]], "next": following})

    def _add(self, body: dict[str, Any]) -> httpx.Response:
        self.devices[body["id"]] = body
        return httpx.Response(201, json=body)

    def _one(self, method: str, id_: str, request: httpx.Request) -> httpx.Response:
        if id_ not in self.devices:
            return self.problem(404, "Unknown device", f"There is no device {id_!r}.")
        if method == "PATCH":
            self.devices[id_] |= json.loads(request.content)
        if method == "DELETE":
            del self.devices[id_]
            return httpx.Response(204)
        return httpx.Response(200, json=self.devices[id_])

    @staticmethod
    def problem(status: int, title: str, detail: str) -> httpx.Response:
        return httpx.Response(status, json={"title": title, "detail": detail, "status": status})


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    monkeypatch.setenv("SENSORIUM_KEY", KEY)
    return FakeApi()


def run(api: Answer, *arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, obj=httpx.MockTransport(api))


def printed(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def refused(result: Result) -> str:
    assert isinstance(result.exception, ApiError)
    return str(result.exception)


def test_a_device_is_added_changed_shown_and_deleted(api: FakeApi) -> None:
    added = printed(run(api, "devices", "add", "pump-1", "--tag", "site=north", "--attribute", "year=2024"))
    assert added == [{"id": "pump-1", "tags": {"site": "north"}, "attributes": {"year": 2024}}]
    run(api, "devices", "set", "pump-1", "--name", "Pump", "--disable")
    (shown,) = printed(run(api, "devices", "show", "pump-1"))
    assert shown["name"] == "Pump"
    assert shown["enabled"] is False
    assert printed(run(api, "devices", "rm", "pump-1")) == []
    assert api.devices == {}


def test_a_list_asks_for_as_many_pages_as_there_are_or_as_are_wanted(api: FakeApi) -> None:
    for number in range(5):
        run(api, "devices", "add", f"pump-{number}")
    assert [item["id"] for item in printed(run(api, "devices", "list"))] == [f"pump-{number}" for number in range(5)]
    assert len(printed(run(api, "devices", "list", "--limit", "3"))) == 3
    assert api.asked[-1].url.params["limit"] == "1"


def test_what_is_asked_for_is_part_of_the_request(api: FakeApi) -> None:
    printed(run(api, "devices", "list", "--filter", 'profile eq "pump"', "--sort", "-updated"))
    assert dict(api.asked[-1].url.params) == {"filter": 'profile eq "pump"', "sort": "-updated", "limit": "1000"}


def test_an_id_is_one_part_of_the_address_whatever_is_in_it(api: FakeApi) -> None:
    refused(run(api, "devices", "show", "a/../b?c"))
    assert api.asked[-1].url.raw_path == b"/api/v1/devices/a%2F..%2Fb%3Fc"


def test_a_problem_is_one_line(api: FakeApi) -> None:
    assert refused(run(api, "devices", "show", "nobody")) == "Unknown device: There is no device 'nobody'."


def test_a_key_is_taken_from_the_environment_or_from_the_stacks_directory(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SENSORIUM_KEY")
    assert "SENSORIUM_KEY" in refused(run(api, "devices", "list", "--data-dir", str(tmp_path)))
    (tmp_path / "admin.key").write_text(f"{KEY}\n")
    assert printed(run(api, "devices", "list", "--data-dir", str(tmp_path))) == []
    monkeypatch.setenv("SENSORIUM_KEY", "another")
    assert refused(run(api, "devices", "list", "--data-dir", str(tmp_path))) == "Unauthorized: There is no such key."


def test_what_is_no_api_is_said_to_be_none(api: FakeApi) -> None:
    def proxy(_: httpx.Request) -> httpx.Response:
        return httpx.Response(502, content=b"<html>")

    assert "502" in refused(run(proxy, "devices", "list"))
    assert "no URL" in refused(run(api, "devices", "list", "--url", "nowhere:1"))

    def away(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    assert "cannot reach the devices API at http://127.0.0.1:8080" in refused(run(away, "devices", "list"))


def test_wrong_input_ends_with_status_2_before_anything_is_asked(api: FakeApi) -> None:
    for wrong in (["set", "pump-1"], ["add", "pump-1", "--tag", "north"], ["show"], ["import", "/nowhere.csv"]):
        assert run(api, "devices", *wrong).exit_code == 2
    assert api.asked == []


def test_an_import_waits_for_its_end_and_a_rejected_row_shows_in_the_status(api: FakeApi, tmp_path: Path) -> None:
    file = tmp_path / "devices.csv"
    file.write_bytes(b"id\r\npump-1\r\n")
    result = run(api, "devices", "import", str(file), "--dry-run")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["state"] == "succeeded"
    assert api.uploaded == b"id\r\npump-1\r\n"
    (sent,) = (request for request in api.asked if request.method == "POST")
    assert dict(sent.url.params) == {"mode": "upsert", "dry_run": "true", "format": "csv"}


def test_an_export_is_a_file_once_it_is_whole(api: FakeApi, tmp_path: Path) -> None:
    out = tmp_path / "devices.csv"
    printed(run(api, "devices", "export", "--out", str(out)))
    assert out.read_bytes() == b"id,name\r\npump-1,Pump\r\n"
    assert [path.name for path in tmp_path.iterdir()] == ["devices.csv"]


def test_events_are_shown_a_line_each(api: FakeApi) -> None:
    assert printed(run(api, "telemetry", "watch")) == [{"event": "reading", "device": "pump-1"}]


def test_an_interrupt_ends_with_130(api: FakeApi) -> None:
    def interrupted(_: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    assert run(interrupted, "telemetry", "watch").exit_code == 130
    assert api.asked == []
