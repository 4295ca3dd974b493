"""What brokers ask, in EMQX's shape and in RabbitMQ's."""

import asyncio
import re
import secrets
from collections.abc import Callable
from typing import Any, TypeVar

import httpx
import pytest

from contracts.times import SECOND
from devices_api.credentials.identity import Identity
from devices_api.credentials.passwords import MOST_OF_ONE, Passwords
from devices_api.errors import UnavailableError
from devices_api.repository import Repository
from tests.integration.snippets import snippet
from tests.unit.devices_api.certificate_makers import Made, certificate
from tests.unit.devices_api.conftest import BROKER_KEY, KEY, NOW, Service, problem

T = TypeVar("T")

HOUR = "2026-01-01T01:00:00Z"


class Broker:
    """A broker of either kind, and the API's admin."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(service.app), base_url="http://api/broker", auth=("broker", BROKER_KEY)
        )

    async def make(self, device_id: str, **body: Any) -> dict[str, Any]:  # noqa: ANN401 - any field
        await self.service.client.post("/devices", json={"id": device_id})
        path = f"/devices/{device_id}/credentials"
        answer = await self.service.client.post(path, json={"kind": "token"} | body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def connect(self, username: str, password: str = "", clientid: str = "", **more: str) -> dict[str, Any]:
        body = {"username": username, "password": password, "clientid": clientid or username} | more
        answer = await self.client.post("/authenticate", json=body)
        assert answer.status_code == 200
        return dict(answer.json())

    async def lets_in(self, username: str, password: str = "", clientid: str = "", **more: str) -> bool:
        """Whether EMQX and RabbitMQ both let them in, or neither does."""
        answered = (await self.connect(username, password, clientid, **more))["result"] == "allow"
        if not more:
            form = {"username": username, "password": password, "vhost": "/", "client_id": clientid or username}
            plain = await self.client.post("/rabbitmq/user", data=form)
            assert plain.text == ("allow" if answered else "deny")
        return bool(answered)

    async def lets_speak(self, username: str, action: str, topic: str) -> bool:
        body = {"username": username, "clientid": username, "action": action, "topic": topic}
        answered: bool = (await self.client.post("/authorize", json=body)).json() == {"result": "allow"}
        permission = {"publish": "write", "subscribe": "read"}[action]
        form = {
            "username": username,
            "vhost": "/",
            "resource": "topic",
            "name": "amq.topic",
            "permission": permission,
            "routing_key": topic.replace("/", ".").replace("+", "*"),
            "variable_map.client_id": username,
        }
        plain = await self.client.post("/rabbitmq/topic", data=form)
        assert plain.text == ("allow" if answered else "deny")
        return answered


@pytest.fixture
def broker(service: Service) -> Broker:
    return Broker(service)


async def test_right_secrets_are_let_in_and_wrong_ones_are_not(broker: Broker) -> None:
    token, password = await broker.make("pump-7"), await broker.make("pump-7", kind="password")
    other = await broker.make("pump-8")
    for made in (token, password):
        assert await broker.lets_in("pump-7", made["secret"])
        assert await broker.lets_in(made["username"], made["secret"], "pump-7/2")
        assert not await broker.lets_in("pump-7", made["secret"] + "x")
        assert not await broker.lets_in("pump-7", made["secret"], "pump-8")
    assert not await broker.lets_in("pump-7", other["secret"])
    assert not await broker.lets_in(token["username"], password["secret"], "pump-7")
    assert not await broker.lets_in("pump-7")
    assert not await broker.lets_in("pump-9", token["secret"])


async def test_what_is_expired_to_come_revoked_or_disabled_is_not_let_in(broker: Broker) -> None:
    ends, begins = await broker.make("pump-7", expires=HOUR), await broker.make("pump-7", not_before=HOUR)
    gone = await broker.make("pump-7", kind="password")
    await broker.service.client.delete(f"/devices/pump-7/credentials/{gone['id']}")
    assert [await broker.lets_in("pump-7", made["secret"]) for made in (ends, begins, gone)] == [True, False, False]
    broker.service.clock.passed = 3600
    assert [await broker.lets_in("pump-7", made["secret"]) for made in (ends, begins, gone)] == [False, True, False]
    await broker.service.client.patch("/devices/pump-7", json={"enabled": False})
    assert not await broker.lets_in("pump-7", begins["secret"])
    assert not await broker.lets_speak("pump-7", "publish", "devices/pump-7/telemetry")
    outcomes = ("allowed", "not_valid", "wrong_secret", "disabled")
    counted = [
        broker.service.metrics.registry.get_sample_value("devices_api_broker_logins_total", {"outcome": outcome})
        for outcome in outcomes
    ]
    assert counted == [4.0, 4.0, 4.0, 2.0]


async def test_a_deleted_device_is_let_in_no_more(broker: Broker) -> None:
    made = await broker.make("pump-7")
    await broker.service.client.delete("/devices/pump-7")
    assert not await broker.lets_in("pump-7", made["secret"])
    assert not await broker.lets_speak("pump-7", "subscribe", "devices/pump-7/desired")


async def test_rotation_has_no_outage_and_the_old_one_ends(broker: Broker) -> None:
    old = await broker.make("pump-7", kind="password", password="the-old-password")
    path = f"/devices/pump-7/credentials/{old['id']}/rotate"
    new = (await broker.service.client.post(path, json={"grace": 60})).json()
    assert await broker.lets_in("pump-7", "the-old-password")
    assert await broker.lets_in("pump-7", new["secret"])
    broker.service.clock.passed = 60
    assert not await broker.lets_in("pump-7", "the-old-password")  # though it was right a moment ago
    assert await broker.lets_in("pump-7", new["secret"])


async def test_an_answer_to_emqx_has_the_rules_and_the_end_of_a_device(broker: Broker) -> None:
    made = await broker.make("pump-7", expires=HOUR)
    assert await broker.connect("pump-7", made["secret"]) == {
        "result": "allow",
        "is_superuser": False,
        "expire_at": NOW // SECOND + 3600,
        "acl": [
            {"permission": "deny", "action": "publish", "topic": "devices/pump-7/desired"},
            {"permission": "deny", "action": "publish", "topic": "devices/pump-7/delta"},
            {"permission": "deny", "action": "publish", "topic": "devices/pump-7/errors"},
            {"permission": "deny", "action": "publish", "topic": "devices/pump-7/commands/+"},
            {"permission": "allow", "action": "all", "topic": "devices/pump-7/#"},
            {"permission": "deny", "action": "all", "topic": "#"},
        ],
    }
    placeholder = await broker.make("${clientid}")
    assert "acl" not in await broker.connect("${clientid}", placeholder["secret"])


async def test_a_device_speaks_on_its_own_topics_only(broker: Broker) -> None:
    await broker.make("pump-7")
    await broker.make("pump-8")
    assert await broker.lets_speak("pump-7", "publish", "devices/pump-7/telemetry")
    assert await broker.lets_speak("pump-7", "subscribe", "devices/pump-7/#")
    for action, topic in (
        ("publish", "devices/pump-8/telemetry"),
        ("publish", "devices/pump-7/desired"),
        ("publish", "devices/pump-7/commands/c1"),
        ("subscribe", "devices/pump-8/desired"),
        ("subscribe", "devices/+/desired"),
        ("subscribe", "#"),
    ):
        assert not await broker.lets_speak("pump-7", action, topic)


async def test_a_service_may_do_what_it_wants_until_its_account_is_gone(broker: Broker) -> None:
    made = (await broker.service.client.post("/broker-accounts", json={"name": "ingest"})).json()
    assert made["username"] == "service/ingest"
    assert (await broker.connect("service/ingest", made["secret"], "any"))["is_superuser"] is True
    assert await broker.lets_speak("service/ingest", "subscribe", "devices/#")
    assert not await broker.lets_in("service/ingest", "wrong", "any")
    again = await broker.service.client.post("/broker-accounts", json={"name": "ingest"})
    assert problem(again) == (409, "account-exists")
    await broker.service.client.delete("/broker-accounts/ingest")
    assert not await broker.lets_in("service/ingest", made["secret"], "any")
    assert not await broker.lets_speak("service/ingest", "publish", "devices/pump-7/desired")


async def test_whoever_wants_to_become_a_device_is_let_in_with_their_nonce(broker: Broker) -> None:
    assert await broker.lets_in("provision", "any", "provision/4f1a")
    assert not await broker.lets_in("provision", "any", "pump-7")


async def test_nobody_asks_without_the_brokers_key(broker: Broker) -> None:
    wrong = [("", ""), ("broker", "wrong"), (BROKER_KEY, ""), ("broker", KEY)]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(broker.service.app), base_url="http://api") as client:
        for path in ("authenticate", "authorize", "rabbitmq/user", "rabbitmq/topic"):
            for auth in wrong:
                answer = await client.post(f"/broker/{path}", json={}, auth=auth)
                assert problem(answer) == (401, "unauthorized")


async def test_emqx_may_carry_the_key_in_a_header(service: Service) -> None:
    headers = {"Authorization": f"Bearer {BROKER_KEY}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(service.app), base_url="http://api") as client:
        answer = await client.post("/broker/authenticate", json={"clientid": "x", "username": None}, headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"result": "deny"})


async def test_rabbitmq_is_told_of_no_device_that_it_takes_for_another(broker: Broker) -> None:
    made = await broker.make("pump.7")
    form = {"username": "pump.7", "password": made["secret"], "client_id": "pump.7"}
    assert (await broker.connect("pump.7", made["secret"]))["result"] == "allow"
    assert (await broker.client.post("/rabbitmq/user", data=form)).text == "deny"


class Works:
    """An authority that is registered, another that is not, and the certificates of both."""

    def __init__(self) -> None:
        self.root, self.stranger = certificate("works", authority=True), certificate("elsewhere", authority=True)

    async def register(self, broker: Broker, **more: Any) -> str:  # noqa: ANN401 - any field
        answer = await broker.service.client.post("/authorities", json={"certificate": self.root.pem} | more)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def of(self, name: str, **more: Any) -> Made:  # noqa: ANN401 - any field
        return certificate(name, self.root, **more)


async def test_a_certificate_of_an_authority_speaks_for_the_device_that_it_names(broker: Broker) -> None:
    works = Works()
    await broker.make("pump-7", kind="authority", authority=await works.register(broker))
    assert await broker.lets_in("pump-7", cert_pem=works.of("pump-7").pem)
    assert await broker.lets_in("", "", "pump-7", cert_common_name="pump-7")
    for wrong in (works.of("pump-8"), certificate("pump-7", works.stranger), works.of("pump-7", days=30)):
        assert not await broker.lets_in("pump-7", cert_pem=wrong.pem)
    assert not await broker.lets_in("pump-7", cert_common_name="undefined")
    assert not await broker.lets_in("pump-7", cert_pem="no certificate")
    ((authority),) = (await broker.service.get("/authorities"))["items"]
    await broker.service.client.patch(f"/authorities/{authority['id']}", json={"enabled": False})
    assert not await broker.lets_in("pump-7", cert_pem=works.of("pump-7").pem)


async def test_one_certificate_is_known_by_its_fingerprint(broker: Broker) -> None:
    own = certificate("whatever")
    await broker.make("pump-7", kind="certificate", certificate=own.pem)
    colons = ":".join(own.fingerprint[n : n + 2] for n in range(0, 64, 2)).upper()
    assert await broker.lets_in("pump-7", cert_pem=own.pem)
    assert await broker.lets_in("pump-7", cert_fingerprint=colons)
    assert not await broker.lets_in("pump-7", cert_pem=certificate("whatever").pem)


async def test_rabbitmq_says_by_leaving_out_the_password_that_a_certificate_was_checked(broker: Broker) -> None:
    works = Works()
    await broker.make("pump-7", kind="authority", authority=await works.register(broker))
    await broker.make("pump-8")
    answers = [
        (await broker.client.post("/rabbitmq/user", data={"username": name, "client_id": name} | more)).text
        for name, more in (("pump-7", {}), ("pump-8", {}), ("pump-7", {"password": ""}))
    ]
    assert answers == ["allow", "deny", "deny"]


async def test_an_authority_may_register_devices_at_their_first_login(broker: Broker) -> None:
    works = Works()
    id_ = await works.register(broker, auto_register=True, gives={"profile": "pump", "tags": {"site": "north"}})
    assert not await broker.lets_in("pump-7", cert_pem=certificate("pump-7", works.stranger).pem)
    assert not await broker.lets_in("pump-7", cert_pem=works.of("pump-8").pem)
    assert await broker.lets_in("pump-7", cert_pem=works.of("pump-7").pem)
    assert await broker.lets_in("pump-7", cert_pem=works.of("pump-7").pem)
    shown = await broker.service.get("/devices/pump-7")
    assert (shown["profile"], shown["tags"]) == ("pump", {"site": "north"})
    ((credential),) = (await broker.service.get("/devices/pump-7/credentials"))["items"]
    assert (credential["kind"], credential["authority"]) == ("authority", id_)
    await broker.service.client.patch(f"/authorities/{id_}", json={"auto_register": False})
    assert not await broker.lets_in("pump-9", cert_pem=works.of("pump-9").pem)


async def test_when_a_credential_was_last_used_is_written_in_a_while(broker: Broker) -> None:
    made = await broker.make("pump-7")
    await broker.lets_in("pump-7", made["secret"])
    hooks = broker.service.identity.broker
    hooks.finish()
    await hooks.run()
    ((shown),) = (await broker.service.get("/devices/pump-7/credentials"))["items"]
    assert shown["last_used"] == "2026-01-01T00:00:00.000000000Z"


async def test_emqx_asks_as_the_readme_has_it_asking(broker: Broker) -> None:
    made = await broker.make("pump-7")
    shown = snippet("emqx.conf", {"Bearer KEY": f"Bearer {BROKER_KEY}"})
    known = {
        "username": "pump-7",
        "password": made["secret"],
        "clientid": "pump-7",
        "cert_common_name": "undefined",
        "topic": "devices/pump-7/telemetry",
        "action": "publish",
    }
    urls = re.findall(r'url = "http://127.0.0.1:8080/broker/(\w+)"', shown)
    keys = re.findall(r'authorization = "(.*?)"', shown)
    bodies = [
        re.findall(r'(\w+) = "\$\{(\w+)\}"', body) for body in re.findall(r"body \{(.*?)\}[\n ]*\}", shown, re.DOTALL)
    ]
    assert urls == ["authenticate", "authorize"]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(broker.service.app), base_url="http://api") as client:
        for url, key, body in zip(urls, keys, bodies, strict=True):
            filled = {name: known[place] for name, place in body}
            answer = await client.post(f"/broker/{url}", json=filled, headers={"authorization": key})
            assert answer.json()["result"] == "allow"


class Counted(Passwords):
    """Passwords that count how often something was hashed."""

    hashed = 0

    async def _run(self, work: Callable[[], T]) -> T:
        self.hashed += 1
        return await super()._run(work)


async def test_a_wrong_password_takes_as_long_whether_there_is_such_a_device_or_not(
    broker: Broker, registry: Repository
) -> None:
    service = broker.service
    for device, kind in (("with-password", "password"), ("with-token", "token"), ("disabled", "password")):
        await broker.make(device, kind=kind)
    await service.client.patch("/devices/disabled", json={"enabled": False})
    counted = Counted(service.clock.monotonic, secrets.token_bytes)
    service.identity = Identity.on(
        registry,
        counted,
        service.metrics,
        mirror=None,
        now=service.clock.now,
        entropy=secrets.token_bytes,
        registered=lambda: None,
        limit=1000,
    )
    for device in ("with-password", "with-token", "disabled", "unknown"):
        counted.hashed = 0
        assert (await broker.connect(device, "a-wrong-password"))["result"] == "deny"
        assert counted.hashed == 1, device
    counted.close()


async def test_guesses_at_one_password_leave_room_for_others(service: Service) -> None:
    passwords = service.passwords
    one, other = await asyncio.gather(passwords.hash("a password"), passwords.hash("another password"))
    guesses = [passwords.match(one, f"guess {n}") for n in range(MOST_OF_ONE + 2)]
    *found, right = await asyncio.gather(*guesses, passwords.match(other, "another password"), return_exceptions=True)
    assert right is True
    assert found[:MOST_OF_ONE] == [False] * MOST_OF_ONE
    assert [type(error) for error in found[MOST_OF_ONE:]] == [UnavailableError] * 2
    assert await passwords.match(one, "a password")
