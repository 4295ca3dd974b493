"""The API's routes of the dead letters, over ASGI; the dead letters are a list."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from contracts.deadletters import DeadLetter, Reason
from contracts.times import SECOND
from devices_api.letters.handover import Edit
from devices_api.repository import Repository
from tests.unit.devices_api import conftest
from tests.unit.devices_api.cases import each

NOW = 1_767_225_600 * SECOND


class Service(conftest.Service):
    """The API on dead letters alone."""

    def __init__(self, registry: Repository, store: Path) -> None:
        super().__init__(registry, conftest.StoreFile(store))
        self.fake = self.letters

    async def ids(self, **query: str | int) -> list[int]:
        answer = await self.client.get("/dead-letters", params=query)
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["items"]]


@pytest.fixture
async def service(registry: Repository, tmp_path: Path) -> AsyncIterator[Service]:
    service = Service(registry, tmp_path / "no-store")
    yield service
    await service.client.aclose()


def letter(
    device: str = "a", service: str = "ingest", reason: Reason = Reason.MALFORMED, at: int = NOW, **more: object
) -> DeadLetter:
    plain = DeadLetter(1, reason, "not JSON", f"devices/{device}/telemetry", b"\xff{", at, service, device)
    return replace(plain, **more)


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and slug of an error, which has to be a problem document."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert body["status"] == answer.status_code
    return answer.status_code, body["type"].rpartition(":")[2]


async def test_dead_letters_are_listed_newest_first_page_by_page(service: Service) -> None:
    service.fake.letters = {3: letter(), 4: letter("b"), 9: letter()}
    page = (await service.client.get("/dead-letters", params={"limit": 2})).json()
    assert [item["id"] for item in page["items"]] == [9, 4]
    page = (await service.client.get("/dead-letters", params={"limit": 2, "cursor": page["next"]})).json()
    assert ([item["id"] for item in page["items"]], page["next"]) == ([3], None)


async def test_a_dead_letter_says_all_that_is_known_of_it(service: Service) -> None:
    properties = {"content-type": "application/json", "site": "north"}
    service.fake.letters = {
        9: letter(
            payload=b'{"soil": \n 3',
            retained=True,
            route="devices/+/telemetry",
            decoder="json",
            receiver="ingest-1",
            properties=properties,
        )
    }
    shown = (await service.client.get("/dead-letters/9")).json()
    assert shown == {
        "id": 9,
        "reason": "malformed",
        "detail": "not JSON",
        "topic": "devices/a/telemetry",
        "payload_base64": "eyJzb2lsIjogCiAz",
        "payload_text": '{"soil": \n 3',
        "received": "2026-01-01T00:00:00.000000000Z",
        "service": "ingest",
        "device": "a",
        "retained": True,
        "route": "devices/+/telemetry",
        "decoder": "json",
        "receiver": "ingest-1",
        "properties": properties,
    }
    assert (await service.client.get("/dead-letters")).json()["items"] == [shown]


@pytest.mark.parametrize(
    ("payload", "text"),
    [(b"", ""), (b"a\tb\r\nc", "a\tb\r\nc"), ("21,5 °C".encode(), "21,5 °C"), (b"\xff{", None), (b"a\x00b", None)],
)
async def test_a_payload_is_shown_as_text_where_it_is_printable(
    service: Service, payload: bytes, text: str | None
) -> None:
    service.fake.letters = {1: letter(payload=payload)}
    shown = (await service.client.get("/dead-letters/1")).json()
    assert (shown["payload_text"], base64.b64decode(shown["payload_base64"])) == (text, payload)


async def test_filters_select_by_what_a_dead_letter_says_of_itself(service: Service) -> None:
    service.fake.letters = {
        1: letter(at=NOW - 2 * SECOND, route="r", decoder="d"),
        2: letter("b", reason=Reason.BAD_TIME, at=NOW - SECOND, route="r"),
        3: letter("b", decoder="d"),
    }
    assert await service.ids(reason="bad_time") == [2]
    assert await service.ids(device="b") == [3, 2]
    assert await service.ids(start="2025-12-31T23:59:59Z") == [3, 2]
    assert await service.ids(end="2025-12-31T23:59:59Z") == [1]
    assert await service.ids(start=NOW // SECOND - 1, end=NOW // SECOND) == [2]
    assert await service.ids(route="r") == [2, 1]
    assert await service.ids(route="r", decoder="d") == [1]


async def test_a_replay_is_accepted_once(service: Service) -> None:
    service.fake.letters = {3: letter(), 4: letter(service="devices_api")}
    answer = await service.client.post("/dead-letters/3/replay")
    assert (answer.status_code, answer.json()) == (202, {"id": 3, "status": "replaying"})
    assert problem(await service.client.post("/dead-letters/3/replay")) == (404, "unknown-dead-letter")
    assert problem(await service.client.post("/dead-letters/4/replay")) == (409, "not-replayable")


@pytest.mark.parametrize(
    ("body", "edit"),
    [
        ({}, None),
        ({"topic": "devices/b/telemetry"}, Edit(topic="devices/b/telemetry")),
        ({"payload_text": '{"°": 1}'}, Edit(payload='{"°": 1}'.encode())),
        ({"payload_text": ""}, Edit(payload=b"")),
        ({"payload_base64": "/3s=", "topic": "t"}, Edit("t", b"\xff{")),
        ({"payload_text": "x" * 4_000_000}, Edit(payload=b"x" * 4_000_000)),
    ],
)
async def test_a_replay_may_be_edited(service: Service, body: dict[str, str], edit: Edit | None) -> None:
    service.fake.letters = {3: letter()}
    answer = await service.client.post("/dead-letters/3/replay", json=body)
    assert answer.status_code == 202, answer.text[:1000]
    assert service.fake.replayed == [(letter(), edit)]


@each(
    "body",
    [
        {"payload_text": "a", "payload_base64": "YQ=="},
        {"payload_base64": "YQ"},
        {"payload_base64": "Y Q=="},
        {"payload_text": "x" * ((4 << 20) + 1)},
        {"topic": ""},
        {"topic": "devices/+/telemetry"},
        {"topic": "x" * 1025},
        {"colour": "red"},
        [],
    ],
)
async def test_an_edit_that_cannot_be_is_refused(service: Service, body: object) -> None:
    service.fake.letters = {3: letter()}
    assert problem(await service.client.post("/dead-letters/3/replay", json=body)) == (422, "invalid-request")
    assert list(service.fake.letters) == [3]


async def test_a_body_far_too_large_is_not_even_read(service: Service) -> None:
    answer = await service.client.post("/dead-letters/3/replay", json={"payload_text": "x" * (7 << 20)})
    assert problem(answer) == (413, "body-too-large")


async def test_replay_by_filter_goes_on_where_the_request_before_ended(service: Service) -> None:
    service.fake.letters = {n: letter("b" if n == 5 else "a", "processor" if n == 2 else "ingest") for n in range(1, 7)}
    path, query = "/dead-letters/replay", {"device": "a", "limit": "2"}
    answer = (await service.client.post(path, params=query)).json()
    assert (answer["replayed"], answer["skipped"]) == (1, 1)
    answer = (await service.client.post(path, params=query | {"cursor": answer["next"]})).json()
    assert (answer["replayed"], answer["skipped"]) == (2, 0)
    answer = (await service.client.post(path, params=query | {"cursor": answer["next"]})).json()
    assert answer == {"replayed": 1, "skipped": 0, "next": None}
    assert list(service.fake.letters) == [2, 5]


async def test_dead_letters_are_discarded_one_by_one_or_by_filter(service: Service) -> None:
    service.fake.letters = {n: letter("b" if n == 5 else "a") for n in range(1, 7)}
    assert (await service.client.delete("/dead-letters/1")).status_code == 204
    assert problem(await service.client.delete("/dead-letters/1")) == (404, "unknown-dead-letter")
    answer = (await service.client.delete("/dead-letters", params={"device": "a", "limit": 3})).json()
    assert answer["discarded"] == 3
    query = {"device": "a", "limit": 3, "cursor": answer["next"]}
    assert (await service.client.delete("/dead-letters", params=query)).json() == {"discarded": 1, "next": None}
    assert list(service.fake.letters) == [5]


async def test_discarding_needs_a_filter(service: Service) -> None:
    service.fake.letters = {1: letter()}
    assert problem(await service.client.delete("/dead-letters")) == (400, "no-filter")
    assert list(service.fake.letters) == [1]


@each(
    ("method", "path", "expected"),
    [
        ("GET", "/dead-letters?start=yesterday", (400, "bad-time")),
        ("GET", "/dead-letters?start=2&end=2", (400, "bad-time")),
        ("GET", "/dead-letters?reason=boredom", (422, "invalid-request")),
        ("POST", "/dead-letters/replay?limit=1001", (400, "bad-limit")),
        ("POST", "/dead-letters/replay?cursor=zzz", (400, "bad-cursor")),
        ("DELETE", "/dead-letters?device=a&cursor=zzz", (400, "bad-cursor")),
        ("DELETE", "/dead-letters/0", (422, "invalid-request")),
        ("DELETE", "/dead-letters/all", (422, "invalid-request")),
    ],
)
async def test_requests_that_cannot_be_understood(
    service: Service, method: str, path: str, expected: tuple[int, str]
) -> None:
    assert problem(await service.client.request(method, path)) == expected


async def test_a_cursor_of_one_kind_of_request_is_none_of_another(service: Service) -> None:
    service.fake.letters = {n: letter() for n in range(1, 4)}
    following = (await service.client.post("/dead-letters/replay", params={"limit": 1})).json()["next"]
    assert following
    for method, path in (("GET", "/dead-letters"), ("DELETE", "/dead-letters?device=a")):
        answer = await service.client.request(method, path, params={"device": "a", "cursor": following})
        assert problem(answer) == (400, "bad-cursor")


@each(("method", "path"), [("GET", ""), ("POST", "/replay"), ("DELETE", "")])
async def test_a_filter_that_is_misspelt_or_in_the_body_selects_nothing(
    service: Service, method: str, path: str
) -> None:
    service.fake.letters = {3: letter(), 4: letter("b")}
    misspelt = await service.client.request(method, f"/dead-letters{path}", params={"device": "a", "reson": "edited"})
    assert problem(misspelt) == (400, "unknown-parameter")
    assert "'reson'" in misspelt.json()["detail"]
    in_body = await service.client.request(
        method, f"/dead-letters{path}", params={"device": "a"}, json={"reason": "edited"}
    )
    assert problem(in_body) == (400, "body-not-read")
    assert await service.ids() == [4, 3]
