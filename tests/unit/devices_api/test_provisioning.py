"""Becoming a device by a claim key, over HTTP and over MQTT."""

import asyncio
import json
import secrets
from fnmatch import fnmatchcase
from typing import Any

import httpx
from hypothesis import given
from hypothesis import strategies as st

from contracts.topics import provision_request
from contracts.uplink import Uplink
from devices_api.credentials.claims import Claim
from devices_api.credentials.credentials import Kind, digest
from devices_api.credentials.identity import Identity
from devices_api.repository import Repository
from tests.unit.devices_api.conftest import NOW, Service, StoreFile, problem

KEY = "a-claim-key-on-a-label"


async def claim(service: Service, **body: Any) -> dict[str, Any]:  # noqa: ANN401 - any field
    answer = await service.client.post("/claims", json={"key": KEY} | body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def become(service: Service, id_: str, key: str = KEY, **more: Any) -> httpx.Response:  # noqa: ANN401 - any field
    service.client.headers.pop("Authorization", None)
    return await service.client.post("/provision", json={"key": key, "id": id_} | more)


def asked(payload: bytes) -> Uplink:
    return Uplink(1, "", "provision", NOW, provision_request("4f1a"), payload)


async def opens(service: Service, told: dict[str, str]) -> bool:
    login = await service.registry.credentials.login(told["device"]) if service.registry else None
    return login is not None and any(
        c.hash == digest(told["secret"]) and c.valid(service.clock.now()) for c in login.credentials
    )


async def test_a_claim_key_makes_a_device_with_what_it_gives(service: Service) -> None:
    made = (await service.client.post("/claims", json={"gives": {"profile": "pump", "tags": {"lot": "7"}}})).json()
    assert len(made["key"]) == 43
    headers = dict(service.client.headers)
    told = await become(service, "pump-7", made["key"], facts={"firmware": "2.1.0"})
    assert (told.status_code, told.headers["Cache-Control"]) == (201, "no-store")
    assert told.json()["username"] == f"pump-7/{told.json()['credential']}"
    assert await opens(service, told.json())
    service.client.headers = httpx.Headers(headers)
    shown = await service.get("/devices/pump-7")
    assert (shown["profile"], shown["tags"], shown["facts"]) == ("pump", {"lot": "7"}, {"firmware": "2.1.0"})
    assert service.changes == 1


async def test_a_claim_is_bound_to_its_limit_its_end_and_its_ids(service: Service) -> None:
    made = await claim(service, most=2, expires="2026-01-01T01:00:00Z", pattern="pump-*", kind="password")
    admin = dict(service.client.headers)
    assert problem(await become(service, "pump-1", "another-key")) == (403, "claim-unknown")
    for wrong in ("valve-1", "pump", "pump/1"):
        assert (await become(service, wrong)).status_code in (403, 422)
    assert [(await become(service, id_)).status_code for id_ in ("pump-1", "pump-2")] == [201, 201]
    assert problem(await become(service, "pump-3")) == (409, "claim-used-up")
    service.client.headers = httpx.Headers(admin)
    changed = await service.client.patch(f"/claims/{made['id']}", json={"most": 3})
    assert (changed.json()["used"], changed.json()["most"], changed.json()["expires"]) == (2, 3, made["expires"])
    service.clock.passed = 3600
    assert problem(await become(service, "pump-3")) == (409, "claim-used-up")
    service.clock.passed = 0
    service.client.headers = httpx.Headers(admin)
    await service.client.patch(f"/claims/{made['id']}", json={"enabled": False})
    assert problem(await become(service, "pump-3")) == (409, "claim-used-up")


async def test_the_limit_holds_when_many_ask_two_replicas_at_once(service: Service) -> None:
    await claim(service, most=5)
    assert service.registry is not None
    other = Identity.on(
        service.registry,
        service.passwords,
        service.metrics,
        mirror=None,
        now=lambda: NOW,
        entropy=secrets.token_bytes,
        registered=lambda: None,
        limit=1000,
    )
    both = (service.identity.provisioning, other.provisioning)
    asking = (both[n % 2].become(KEY, f"pump-{n}", {}) for n in range(12))
    told = await asyncio.gather(*asking, return_exceptions=True)
    assert sum(not isinstance(answer, BaseException) for answer in told) == 5
    assert len((await service.get("/devices"))["items"]) == 5
    ((shown),) = await service.registry.claims.all()
    assert shown.used == 5


async def test_whoever_lost_the_answer_asks_again_until_the_credential_is_used(service: Service) -> None:
    await claim(service, most=1)
    first, second = (await become(service, "pump-7")).json(), (await become(service, "pump-7")).json()
    assert [await opens(service, told) for told in (first, second)] == [False, True]
    assert service.registry is not None
    await service.registry.credentials.used({second["credential"]: NOW}, {})
    assert problem(await become(service, "pump-7")) == (409, "device-exists")


async def test_an_answer_is_lost_for_a_quarter_of_an_hour_at_most(service: Service) -> None:
    await claim(service, most=9)
    assert (await become(service, "pump-7")).status_code == 201
    service.clock.passed = 15 * 60
    assert problem(await become(service, "pump-7")) == (409, "device-exists")


async def test_a_claim_takes_no_device_of_another(service: Service) -> None:
    await service.client.post("/devices", json={"id": "pump-7"})
    await service.client.post("/claims", json={"key": "another-key-on-a-label"})
    await claim(service, most=9)
    assert problem(await become(service, "pump-7")) == (409, "device-exists")
    assert (await become(service, "pump-8", "another-key-on-a-label")).status_code == 201
    assert problem(await become(service, "pump-8")) == (409, "device-exists")
    assert service.registry is not None
    assert {found.used for found in await service.registry.claims.all()} == {0, 1}


async def test_over_mqtt_it_is_the_same(service: Service) -> None:
    await claim(service, most=1)
    provisioning = service.identity.provisioning
    request = json.dumps({"key": KEY, "id": "pump-7", "facts": {"firmware": "2.1.0"}}).encode()
    told = json.loads(await provisioning.answer(asked(request)))
    assert told.keys() == {"device", "credential", "username", "secret"}
    assert await opens(service, told)
    again = json.loads(await provisioning.answer(asked(request)))  # as the stream may give it twice
    assert await opens(service, again)
    assert not await opens(service, told)


async def test_what_is_wrong_is_told_to_whoever_asked(service: Service) -> None:
    await claim(service, most=9)
    for payload, error in (
        (b"{", "bad-request"),
        (b'{"key": "a-claim-key-on-a-label"}', "bad-request"),
        (b'{"key": "a-claim-key-on-a-label", "id": "a", "more": 1}', "bad-request"),
        (b'{"key": "", "id": "a"}', "claim-unknown"),
        (b'{"key": "a-claim-key-on-a-label", "id": "a/b"}', "bad-device-id"),
        (b'{"key": "a-claim-key-on-a-label", "id": "provision"}', "bad-device-id"),
        (b" " * (1 << 17), "bad-request"),
    ):
        told = json.loads(await service.identity.provisioning.answer(asked(payload)))
        assert (told["error"], told.keys()) == (error, {"error", "detail"})


def test_a_star_in_the_ids_pattern_is_any_text() -> None:
    claimed = Claim("c", "", "h", Kind.TOKEN, 1, NOW, "a*b*.c*")
    assert [claimed.takes(id_) for id_ in ("ab.c", "axxbx.cx")] == [True, True]
    assert [claimed.takes(id_) for id_ in ("ab-c", "xab.c", "a")] == [False, False, False]


def for_ids(pattern: str) -> Claim:
    return Claim("1", "", "", Kind.TOKEN, 1, NOW, pattern)


@given(st.text("ab*", max_size=8), st.text("ab", max_size=8))
def test_a_claim_takes_the_ids_of_its_pattern(pattern: str, id_: str) -> None:
    assert for_ids(pattern).takes(id_) == fnmatchcase(id_, pattern)


def test_no_id_takes_long_to_compare_with_a_pattern() -> None:
    assert not for_ids("*-" * 30 + "x").takes("-" * 256)
    assert for_ids("*-" * 30 + "x").takes("-" * 255 + "x")


async def test_an_address_with_too_many_wrong_claim_keys_has_to_wait(registry: Repository, store: StoreFile) -> None:
    service = Service(registry, store, failures="2:60")
    await claim(service)
    assert [(await become(service, "a", "a wrong claim key")).status_code for _ in range(3)] == [403, 403, 429]
    waiting = await become(service, "a")
    assert problem(waiting) == (429, "too-many-requests")
    assert waiting.headers["Retry-After"] == "30"
    service.clock.passed = 31
    assert (await become(service, "a")).status_code == 201
    await service.client.aclose()
    await service.timeseries.close()
    service.passwords.close()
