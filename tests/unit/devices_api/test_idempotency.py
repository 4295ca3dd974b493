"""A POST that is sent again with its idempotency key, here or at another replica."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from starlette.responses import Response

from devices_api.credentials.answers import CLAIM, KEPT, Answer, Answers, Refused
from devices_api.database import transaction
from devices_api.repository import Repository
from devices_api.web.idempotency import HEADER, Idempotency
from tests.unit.devices_api.conftest import KEY, NOW, Service, StoreFile, problem

DEVICE = {"id": "pump-7"}
SECRETS = {"key", "secret", "password", "ticket", "token"}
"""What fields of an answer are called that hold one."""


async def post(service: Service, path: str, body: Any, key: str = "once") -> httpx.Response:  # noqa: ANN401 - any JSON
    return await service.client.post(path, json=body, headers={HEADER: key})


async def test_a_request_that_is_sent_again_is_answered_again_at_any_replica(
    service: Service, second_registry: Repository, store: StoreFile
) -> None:
    other = Service(second_registry, store)
    first = await post(service, "/devices", DEVICE)
    for again in (await post(service, "/devices", DEVICE), await post(other, "/devices", DEVICE)):
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["Location"] == first.headers["Location"]
        assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert service.changes == 1
    for replica, asked in ((service, 2), (other, 1)):
        assert replica.metric("requests_total", route="/devices", method="POST", status="201") == asked
        assert replica.metric("idempotent_total", outcome="answered") == 1
    assert problem(await service.client.post("/devices", json=DEVICE)) == (409, "device-exists")
    await other.client.aclose()
    await other.timeseries.close()


async def test_a_refusal_is_answered_again_too(service: Service) -> None:
    assert problem(await post(service, "/devices", {"id": "a/b"})) == (422, "invalid-request")
    assert (await post(service, "/devices", {"id": "a/b"})).headers["Idempotent-Replayed"] == "true"


async def test_the_same_key_with_another_request_is_refused(service: Service) -> None:
    await post(service, "/devices", DEVICE)
    for answer in (
        await post(service, "/devices", {"id": "pump-8"}),
        await post(service, "/devices?x=1", DEVICE),
        await post(service, "/tickets", DEVICE),
    ):
        assert problem(answer) == (422, "idempotency-key-reused")
    assert service.metric("requests_total", route="/tickets", method="POST", status="422") == 1
    assert (await service.client.get("/devices/pump-8")).status_code == 404


async def test_the_same_key_of_somebody_else_is_another(service: Service) -> None:
    made = await service.client.post("/keys", json={"name": "other", "scopes": ["write"]})
    await post(service, "/devices", DEVICE)
    async with service.asking(made.json()["key"]) as client:
        answer = await client.post("/devices", json=DEVICE, headers={HEADER: "once"})
        assert problem(answer) == (409, "device-exists")
        await service.client.patch(f"/keys/{made.json()['id']}", json={"scopes": ["read"]})
        # What was kept for a key that could do more is not shown to it when it may do less.
        assert problem(await client.post("/devices", json=DEVICE, headers={HEADER: "once"})) == (403, "scope-missing")


async def test_a_key_that_cannot_be_one_is_refused(service: Service) -> None:
    for key in ("", "with space", "x" * 129):
        assert problem(await post(service, "/devices", DEVICE, key)) == (400, "bad-idempotency-key")
    async with service.asking("wrong") as client:
        answer = await client.post("/devices", json=DEVICE, headers={HEADER: "once"})
    assert problem(answer) == (401, "unauthorized")


async def test_a_secret_is_not_kept(service: Service, registry: Repository) -> None:
    body = {"name": "dashboard", "scopes": ["read"]}
    made = await post(service, "/keys", body)
    again = await post(service, "/keys", body)
    assert problem(again) == (409, "already-done")
    assert again.headers["Location"] == made.headers["Location"] == f"/api/v1/keys/{made.json()['id']}"
    assert made.json()["id"] in again.json()["detail"]
    assert len((await service.get("/keys"))["items"]) == 1
    async with transaction(registry.keys._engine) as db:  # noqa: SLF001 - looks for the secret in every row
        rows = str((await db.execute(text("SELECT * FROM answer"))).all())
    assert made.json()["id"] in rows
    assert made.json()["key"].rpartition("_")[2] not in rows


def routes_with_secrets(service: Service) -> set[str]:
    """Give the paths to which a POST may be answered with a secret, as the API's description says."""
    described = service.app.openapi()
    found = set()
    for path, methods in described["paths"].items():
        for status, answer in methods.get("post", {}).get("responses", {}).items():
            schema = answer.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "")
            fields = described["components"]["schemas"].get(schema.rpartition("/")[2], {}).get("properties", {})
            if status.startswith("2") and SECRETS & fields.keys():
                found.add(path.removeprefix("/api/v1"))
    return found


async def test_no_answer_with_a_secret_is_kept(service: Service) -> None:
    for device in ("pump-7", "pump-8"):
        await service.client.post("/devices", json={"id": device})
    kept = (await service.client.post("/devices/pump-7/credentials", json={"kind": "token"})).json()["id"]
    claim = (await service.client.post("/claims", json={"most": 2})).json()["key"]
    bodies = {
        "/devices/{device_id}/credentials": {"kind": "password"},
        "/devices/{device_id}/credentials/{credential_id}/rotate": {"grace": 5},
        "/claims": {"most": 1},
        "/provision": {"key": claim, "id": "pump-9"},
        "/broker-accounts": {"name": "ingest"},
        "/keys": {"name": "panel", "scopes": ["read"]},
        "/tickets": None,
    }
    assert bodies.keys() == routes_with_secrets(service)
    for path, body in bodies.items():
        filled = path.replace("{device_id}", "pump-7").replace("{credential_id}", kept)
        made = await post(service, filled, body, f"for-{filled}")
        assert made.status_code == 201, made.text
        assert any(made.json().get(field) for field in SECRETS)
        assert made.headers["Cache-Control"] == "no-store", path
        assert problem(await post(service, filled, body, f"for-{filled}")) == (409, "already-done"), path


async def test_while_the_first_is_being_done_others_are_told_to_wait(service: Service) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's
        begun.set()
        await go_on.wait()
        await Response("done", 201)(scope, receive, send)

    middleware = Idempotency(
        slow, lambda: service.registry or pytest.fail("away"), lambda n: b"x" * n, service.metrics, lambda: NOW
    )

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's
        scope["app"] = service.app
        await middleware(scope, receive, send)

    headers = {"Authorization": f"Bearer {KEY}", HEADER: "slow"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api", headers=headers) as client:
        first = asyncio.create_task(client.post("/api/v1/tickets"))
        await begun.wait()
        second = await client.post("/api/v1/tickets")
        assert problem(second) == (409, "in-progress")
        assert second.headers["Retry-After"] == "1"
        go_on.set()
        assert (await first).status_code == 201
        assert (await client.post("/api/v1/tickets")).text == "done"


async def test_what_failed_here_may_be_done_again(service: Service, registry: Repository) -> None:
    service.letters.away = True
    service.registry = None
    assert problem(await post(service, "/devices", DEVICE)) == (503, "unavailable")
    service.registry = registry
    assert (await post(service, "/devices", DEVICE)).status_code == 201


async def test_a_claim_of_who_died_expires_and_an_answer_is_kept_for_a_day(registry: Repository) -> None:
    answers = registry.answers
    assert await answers.claim("id", "r", "first", 0) is None
    assert await answers.claim("id", "r", "second", CLAIM - 1) is Refused.RUNNING
    await answers.renew("id", "first", CLAIM - 1)
    assert await answers.claim("id", "r", "second", CLAIM) is Refused.RUNNING
    assert await answers.claim("id", "r", "second", 2 * CLAIM) is None
    await answers.keep("id", "first", Answer(201, {}, b"late"), 2 * CLAIM)  # not its claim any more
    assert await answers.claim("id", "r", "third", 2 * CLAIM) is Refused.RUNNING
    kept = Answer(201, {"etag": '"1"'}, b"x")
    await answers.keep("id", "second", kept, 0)
    assert await answers.claim("id", "r", "third", KEPT - 1) == kept
    assert await answers.claim("id", "other", "third", KEPT - 1) is Refused.ANOTHER
    assert await answers.drop(KEPT, 10) == 0
    assert await answers.drop(KEPT + 1, 10) == 1


async def test_of_many_that_claim_at_once_one_does_it(registry: Repository) -> None:
    both = [registry.answers, Answers(registry.keys._engine)]  # noqa: SLF001 - the same database
    found = await asyncio.gather(*(both[n % 2].claim("id", "r", str(n), 0) for n in range(8)))
    assert sorted(map(str, found)) == sorted(["None"] + ["Refused.RUNNING"] * 7)
