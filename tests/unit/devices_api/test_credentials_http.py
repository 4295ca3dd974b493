"""Credentials over the API: what is shown and what is not, and rotation."""

import json
from typing import Any

from sqlalchemy import select

from devices_api.access import Principal, Scope
from devices_api.credentials.credentials import MOST_VALID
from devices_api.database import transaction
from devices_api.repository import Repository
from devices_api.tables_access import audit_log
from devices_api.tables_credentials import authority, broker_account, claim, credential
from tests.unit.devices_api.certificate_makers import certificate
from tests.unit.devices_api.conftest import Service, problem

PATH = "/devices/pump-7/credentials"
LATER = "2026-01-01T01:00:00Z"


async def registered(service: Service, *ids: str) -> None:
    for id_ in ids or ("pump-7",):
        assert (await service.client.post("/devices", json={"id": id_})).status_code == 201


async def made(service: Service, **body: Any) -> dict[str, Any]:  # noqa: ANN401 - any field
    answer = await service.client.post(PATH, json={"kind": "token"} | body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    return dict(answer.json())


async def everything_kept(registry: Repository) -> str:
    """All that the database has of credentials, and of who changed them."""
    async with transaction(registry._engine) as db:  # noqa: SLF001 - to look behind the API
        tables = (credential, authority, claim, broker_account, audit_log)
        return json.dumps([[list(row) for row in await db.execute(select(table))] for table in tables])


async def test_a_secret_is_shown_once_and_is_kept_nowhere(service: Service, registry: Repository) -> None:
    await registered(service)
    token, password = await made(service), await made(service, kind="password", name="by hand")
    given = await made(service, kind="password", password="a-given-password", expires=LATER)
    assert given["secret"] is None
    assert len(token["secret"]) == len(password["secret"]) == 43
    account = (await service.client.post("/broker-accounts", json={"name": "ingest"})).json()
    claimed = (await service.client.post("/claims", json={"most": 2})).json()
    listed = await service.get(PATH)
    assert {item["id"] for item in listed["items"]} == {token["id"], password["id"], given["id"]}
    shown = json.dumps([listed, await service.get("/broker-accounts"), await service.get("/claims")])
    kept = await everything_kept(registry)
    for secret in (token["secret"], password["secret"], "a-given-password", account["secret"], claimed["key"]):
        assert secret not in shown
        assert secret not in kept
    assert "$argon2id$v=19$m=19456,t=2,p=1$" in kept
    assert "argon2" not in json.dumps(await service.get("/audit")) + shown


async def test_a_rotated_credential_stays_valid_for_its_grace(service: Service) -> None:
    await registered(service)
    old = await made(service, name="main", expires=LATER)
    new = await service.client.post(f"{PATH}/{old['id']}/rotate", json={"grace": 60})
    assert new.status_code == 201
    assert (new.json()["name"], new.json()["kind"], new.json()["expires"]) == ("main", "token", None)
    items = {item["id"]: item for item in (await service.get(PATH))["items"]}
    assert items[old["id"]]["expires"] == "2026-01-01T00:01:00.000000000Z"
    # A longer grace than its own end gives it no more.
    third = await service.client.post(f"{PATH}/{old['id']}/rotate", json={"grace": 3600})
    assert third.status_code == 201
    items = {item["id"]: item for item in (await service.get(PATH))["items"]}
    assert items[old["id"]]["expires"] == "2026-01-01T00:01:00.000000000Z"
    service.clock.passed = 60
    again = await service.client.post(f"{PATH}/{old['id']}/rotate", json={})
    assert problem(again) == (409, "credential-over")


async def test_a_certificate_is_known_by_its_fingerprint_and_ends_with_it(service: Service) -> None:
    await registered(service)
    own, next_one = certificate("pump-7", days=730), certificate("pump-7")
    first = await made(service, kind="certificate", certificate=own.pem)
    assert (first["fingerprint"], first["secret"]) == (own.fingerprint, None)
    assert first["expires"] == "2027-01-01T00:00:00.000000000Z"
    rotated = await service.client.post(f"{PATH}/{first['id']}/rotate", json={"certificate": next_one.pem})
    assert rotated.json()["fingerprint"] == next_one.fingerprint
    for body in ({}, {"password": "not-a-certificate"}):
        assert problem(await service.client.post(f"{PATH}/{first['id']}/rotate", json=body)) == (422, "cannot-rotate")


_NONE = [
    {"kind": "password", "password": "short"},
    {"kind": "token", "password": "a-given-password"},
    {"kind": "certificate"},
    {"kind": "authority"},
    {"kind": "token", "authority": "x"},
    {"kind": "token", "expires": "soon"},
    {"kind": "token", "not_before": LATER, "expires": "2026-01-01T00:30:00Z"},
    {"kind": "key"},
    {"kind": "token", "secret": "mine"},
]


async def test_what_makes_no_credential_is_refused(service: Service) -> None:
    await registered(service)
    for body in _NONE:
        assert problem(await service.client.post(PATH, json=body)) == (422, "invalid-request"), body


async def test_what_is_not_there_or_too_much_is_said(service: Service) -> None:
    await registered(service, "pump-7", "service")
    bad = await service.client.post(PATH, json={"kind": "certificate", "certificate": "no PEM"})
    assert problem(bad) == (422, "bad-certificate")
    nobody = await service.client.post(PATH, json={"kind": "authority", "authority": "0a1b"})
    assert problem(nobody) == (409, "unknown-authority")
    unknown = await service.client.post("/devices/other/credentials", json={"kind": "token"})
    assert problem(unknown) == (404, "unknown-device")
    assert problem(await service.client.delete(f"{PATH}/0a1b")) == (404, "unknown-credential")
    assert problem(await service.client.post(f"{PATH}/0a1b/rotate", json={})) == (404, "unknown-credential")
    reserved = await service.client.post("/devices/service/credentials", json={"kind": "token"})
    assert problem(reserved) == (409, "reserved-id")
    for _ in range(MOST_VALID):
        last = await made(service)
    assert problem(await service.client.post(PATH, json={"kind": "token"})) == (409, "too-many-credentials")
    assert (await service.client.delete(f"{PATH}/{last['id']}")).json()["revoked"] is not None
    await made(service)


async def test_a_device_out_of_sight_is_unknown(service: Service) -> None:
    await registered(service)
    old = await made(service)

    async def limited(_: object) -> Principal:
        return Principal("north", frozenset({Scope.ADMIN}), frozenset({"north"}))

    service.app.state.authenticate = limited
    for answer in (
        await service.client.get(PATH),
        await service.client.post(PATH, json={"kind": "token"}),
        await service.client.post(f"{PATH}/{old['id']}/rotate", json={}),
        await service.client.delete(f"{PATH}/{old['id']}"),
    ):
        assert problem(answer) == (404, "unknown-device")
    for path in ("/claims", "/authorities", "/broker-accounts"):
        assert problem(await service.client.get(path)) == (403, "key-limited")


async def test_every_change_is_in_the_audit_log(service: Service) -> None:
    await registered(service)
    first = await made(service)
    await service.client.post(f"{PATH}/{first['id']}/rotate", json={})
    await service.client.delete(f"{PATH}/{first['id']}")
    await service.client.post("/broker-accounts", json={"name": "ingest"})
    await service.client.delete("/broker-accounts/ingest")
    root = certificate("works", authority=True)
    added = (await service.client.post("/authorities", json={"certificate": root.pem})).json()
    await service.client.patch(f"/authorities/{added['id']}", json={"enabled": False})
    await service.client.delete(f"/authorities/{added['id']}")
    claimed = (await service.client.post("/claims", json={})).json()
    await service.client.patch(f"/claims/{claimed['id']}", json={"most": 5})
    await service.client.delete(f"/claims/{claimed['id']}")
    actions = [entry["action"] for entry in (await service.get("/audit"))["items"]]
    assert (
        list(reversed(actions))[-11:]
        == [
            "credential.create",
            "credential.rotate",
            "credential.create",
            "credential.revoke",
            *(f"broker-account.{what}" for what in ("create", "delete")),
            *(f"authority.{what}" for what in ("create", "change", "delete")),
            *(f"claim.{what}" for what in ("create", "change", "delete")),
        ][-11:]
    )


async def test_an_authority_has_to_be_one_and_is_registered_once(service: Service) -> None:
    root, leaf = certificate("works", authority=True), certificate("pump-7")
    assert problem(await service.client.post("/authorities", json={"certificate": leaf.pem}))[1] == "bad-certificate"
    body = {"certificate": root.pem, "name": "Works", "auto_register": True, "gives": {"profile": "pump"}}
    added = await service.client.post("/authorities", json=body)
    assert added.status_code == 201
    assert (added.json()["fingerprint"], added.json()["gives"]["profile"]) == (root.fingerprint, "pump")
    assert problem(await service.client.post("/authorities", json=body)) == (409, "authority-exists")
    assert (await service.get("/authorities"))["items"] == [added.json()]
    assert problem(await service.client.delete("/authorities/none")) == (404, "unknown-authority")
