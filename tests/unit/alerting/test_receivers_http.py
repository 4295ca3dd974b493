"""Receivers over HTTP: what is secret never comes out; a test says what came of it; what was sent can be read."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
import sqlalchemy as sa
from fastapi import APIRouter, FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from alerting.database import write
from alerting.notify.apprises import Apprises
from alerting.notify.book import Book
from alerting.notify.channels import Channels
from alerting.notify.configuration import problem_of
from alerting.notify.deliveries import Deliveries, DeliveryState, Tried
from alerting.notify.document import Kind
from alerting.notify.documents import Documents
from alerting.notify.mail import Mail
from alerting.notify.outcome import DELIVERED, of_status
from alerting.notify.webhook import Addresses, Webhook
from alerting.tables_notify import alert_delivery, delivery, document
from alerting.web import deliveries as deliveries_web
from alerting.web import receivers as receivers_web
from contracts import problems
from contracts.alerts import Notification

NOW = 1_767_225_600_000_000_000
HOOK: dict[str, Any] = {
    "type": "webhook",
    "url": "https://hooks.example/services/T1/topsecret",
    "bearer": "bearersecret",
    "hmac_key": "hmacsecret",
    "headers": {"X-Key": "headersecret"},
}
MAIL: dict[str, Any] = {
    "type": "email",
    "host": "smtp.example",
    "username": "alerts",
    "password": "mailsecret",
    "sender": "alerts@farm.example",
    "to": ["grower@farm.example"],
}


async def as_it_is(host: str, _: int) -> list[str]:
    return [host]


class Service:
    """The routes over a database, without a socket."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine, self.documents, self.deliveries = engine, Documents(engine, problem_of), Deliveries(engine)
        addresses = Addresses(allow_private=False, look_up=as_it_is)
        self.channels = Channels(
            Book(self.documents, "http://127.0.0.1:1/built-in"),
            Webhook(1.0, addresses),
            Mail(1.0, addresses),
            Apprises(1.0, addresses, allowed=False),
            None,
            "",
            lambda: NOW,
        )
        self.woken: list[str] = []
        api = APIRouter(prefix="/api/v1")
        api.include_router(
            receivers_web.routes(
                self.documents, self.channels, self.deliveries, lambda: NOW, lambda: "test-1", self._wake
            )
        )
        api.include_router(deliveries_web.routes(self.deliveries, lambda: NOW, self._wake))
        app = FastAPI()
        problems.install(app)
        app.include_router(api)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test/api/v1")

    def _wake(self, receiver: str) -> None:
        self.woken.append(receiver)

    async def put(self, name: str, body: dict[str, Any], **headers: str) -> httpx.Response:
        return await self.client.put(f"/receivers/{name}", json=body, headers=headers)

    async def secrets(self, name: str) -> dict[str, Any]:
        found = await self.documents.get(Kind.RECEIVER, name)
        assert found is not None
        assert "secret" not in str(found.content)
        return found.secrets


@pytest.fixture
async def service(engine: AsyncEngine) -> AsyncIterator[Service]:
    service = Service(engine)
    yield service
    await service.client.aclose()
    await service.channels.close()


async def test_a_receiver_is_made_read_without_its_secrets_and_deleted(service: Service) -> None:
    made = await service.put("ops", HOOK)
    assert (made.status_code, made.headers["ETag"]) == (201, '"1"')
    shown = (await service.client.get("/receivers/ops")).json()
    assert shown == made.json()
    assert shown["receiver"] == {
        "type": "webhook",
        "url": "https://hooks.example/<secret>",
        "bearer": "<secret>",
        "hmac_key": "<secret>",
        "headers": {"X-Key": "<secret>"},
    }
    assert (await service.client.get("/receivers")).json() == {"items": [shown], "next": None}
    assert (await service.client.delete("/receivers/ops")).status_code == 204
    for answer in (await service.client.get("/receivers/ops"), await service.client.delete("/receivers/ops")):
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:sensorium:problem:no-such-receiver")


async def test_what_was_read_can_be_written_back_and_keeps_the_secrets(service: Service) -> None:
    shown = (await service.put("ops", HOOK)).json()["receiver"]
    answer = await service.put("ops", shown | {"format": "alertmanager"}, **{"If-Match": '"1"'})
    assert (answer.status_code, answer.json()["version"]) == (200, 2)
    assert await service.secrets("ops") == {name: HOOK[name] for name in ("url", "bearer", "hmac_key", "headers")}
    assert (await service.put("ops", {"type": "webhook", "bearer": None})).status_code == 200
    assert await service.secrets("ops") == {name: HOOK[name] for name in ("url", "hmac_key", "headers")}


async def test_a_kept_secret_goes_to_no_other_place(service: Service) -> None:
    await service.put("ops", HOOK)
    moved = await service.put("ops", {"type": "webhook", "url": "https://evil.example/x"})
    assert (moved.status_code, moved.json()["type"]) == (422, "urn:sensorium:problem:secrets-wanted")
    assert moved.json()["detail"].startswith("give bearer, headers, hmac_key again")
    await service.put("mail", MAIL)
    assert (await service.put("mail", MAIL | {"host": "evil.example", "password": "<secret>"})).status_code == 422
    assert (await service.put("mail", MAIL | {"port": 26, "password": "again"})).status_code == 200
    assert (await service.put("ops", {"type": "mqtt"})).status_code == 200
    assert await service.secrets("ops") == {}


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (HOOK | {"url": "https://hooks.example/<secret>"}, "stands for a secret that is kept already"),
        (HOOK | {"url": "ftp://hooks.example/topsecret"}, "the URL has to start with http"),
        (HOOK | {"headers": {"Host": "topsecret"}}, "the header host is set by the service"),
        (HOOK | {"headers": {"X-A": "a\r\nX-B: topsecret"}}, "only printable ASCII"),
        (HOOK | {"type": "pager"}, "'webhook', 'mqtt', 'email', 'apprise', 'alertmanager'"),
        (HOOK | {"more": 1}, "Extra inputs are not permitted"),
        (MAIL | {"tls": "none"}, "a password is sent only with tls or starttls"),
        (MAIL | {"to": ["a@b\nBcc: c@d"]}, "body.email.to.0"),
        (MAIL | {"subject": "{{ oops }}"}, "there is no 'oops'"),
        ({"type": "mqtt", "topic": "{% for x in range(9) %}"}, "body.mqtt.topic"),
        ({"type": "webhook"}, "body.webhook.url"),
    ],
)
async def test_a_receiver_that_cannot_be_is_refused_and_no_secret_is_repeated(
    service: Service, body: dict[str, Any], problem: str
) -> None:
    answer = await service.put("ops", body)
    assert answer.status_code == 422
    assert problem in answer.text
    assert "topsecret" not in answer.text
    assert (await service.client.get("/receivers/ops")).status_code == 404


async def test_a_change_of_another_version_is_refused(service: Service) -> None:
    await service.put("ops", HOOK)
    assert (await service.put("ops", HOOK, **{"If-Match": '"7"'})).status_code == 412
    assert (await service.put("new", HOOK, **{"If-Match": "*"})).status_code == 412
    assert (await service.client.delete("/receivers/ops", headers={"If-Match": '"7"'})).status_code == 412


async def test_a_receiver_that_routes_name_is_not_deleted(service: Service) -> None:
    await service.put("ops", HOOK)
    routing = {"route": {"receiver": "ops"}}
    await service.documents.create(Kind.ROUTING, "routing", routing, {}, NOW)
    answer = await service.client.delete("/receivers/ops")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:sensorium:problem:receiver-in-use")


async def test_a_test_says_what_came_of_it(service: Service) -> None:
    await service.put("private", {"type": "webhook", "url": "http://127.0.0.1:1/topsecret"})
    await service.put("topic", {"type": "mqtt"})
    await service.put("chat", {"type": "apprise", "url": "json://127.0.0.1/topsecret"})
    for name, problem in (
        ("private", "its address is not public"),
        ("default", "its address is not public"),
        ("topic", "ALERTING_MQTT_HOST"),
        ("chat", "ALERTING_ALLOW_APPRISE"),
    ):
        answer = await service.client.post(f"/receivers/{name}/test")
        assert answer.status_code == 200
        assert (answer.json()["result"], answer.json()["status"]) == ("refused", None)
        assert problem in answer.json()["problem"]
        assert "topsecret" not in answer.text
    assert (await service.client.post("/receivers/other/test")).status_code == 404


async def test_a_receiver_of_a_later_version_is_kept_waiting_for_and_not_given_up(service: Service) -> None:
    async with service.engine.begin() as connection:
        await connection.execute(
            sa.insert(document).values(
                kind="receiver",
                id="later",
                version=1,
                content={"type": "pager"},
                secrets={},
                created_at=1,
                updated_at=1,
            )
        )
    answer = await service.client.post("/receivers/later/test")
    assert answer.json()["result"] == "misconfigured"
    assert "does not understand" in answer.json()["problem"]


async def test_what_was_sent_can_be_read_and_sent_again(service: Service) -> None:
    notification = Notification(
        id="", receiver="ops", group_key="g", status="firing", reason="new", alerts=[], created_at=NOW
    )
    content = msgspec.to_builtins(notification)
    async with write(service.engine) as connection:
        for number in range(1, 4):
            row = {"id": f"n{number}", "seq": number, "receiver": "ops", "group_key": "g", "state": "waiting"}
            await connection.execute(sa.insert(delivery).values(row | {"content": content, "created_at": NOW}))
        await connection.execute(sa.insert(alert_delivery).values(alert_id="a1", delivery_id="n2"))
    for name, outcome, state in (
        ("n1", DELIVERED, DeliveryState.DELIVERED),
        ("n2", of_status(400), DeliveryState.REJECTED),
    ):
        waiting = await service.deliveries.get(name)
        assert waiting is not None
        await service.deliveries.record(
            [Tried(delivery=waiting, outcome=outcome, at=NOW, latency_ms=2.5, state=state, next_at=None)]
        )

    async def ids(**query: Any) -> list[str]:  # noqa: ANN401 - what httpx takes
        answer = await service.client.get("/deliveries", params=query)
        return [one["id"] for one in answer.json()["items"]]

    assert await ids() == ["n3", "n2", "n1"]
    assert await ids(state="delivered") == ["n1"]
    assert await ids(alert="a1") == ["n2"]
    assert await ids(receiver="other") == []
    first = (await service.client.get("/deliveries", params={"limit": 2})).json()
    assert await ids(limit=2, cursor=first["next"]) == ["n1"]
    assert (await service.client.get("/deliveries", params={"cursor": "x"})).status_code == 400

    whole = (await service.client.get("/deliveries/n2")).json()
    assert whole["notification"] == content
    assert [(one["result"], one["status"], one["latency_ms"]) for one in whole["tries"]] == [("rejected", 400, 2.5)]
    assert (await service.client.get("/deliveries/n9")).status_code == 404

    again = (await service.client.post("/deliveries/n1/resend")).json()
    assert (again["state"], again["next_at"], again["attempts"]) == ("waiting", None, 1)
    assert (await service.client.post("/deliveries/n9/resend")).status_code == 404
    assert (await service.client.post("/receivers/ops/resend")).json() == {"resent": 1}
    assert sorted(await ids(state="waiting")) == ["n1", "n2", "n3"]
    assert service.woken == ["ops", "ops"]
