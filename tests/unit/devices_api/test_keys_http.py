"""API keys and tickets over HTTP: who is let in, for what, and for how long; two replicas stand on one database."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
from sqlalchemy import insert, text

from contracts import logs
from contracts.times import SECOND, format_time
from devices_api.access import Scope
from devices_api.database import transaction
from devices_api.keys.keyring import LIFETIME_S
from devices_api.repository import Repository
from devices_api.tables import group
from devices_api.upkeep import Upkeep
from devices_api.web.requestids import HEADER
from tests.unit.devices_api.conftest import KEY, NOW, Service, StoreFile, problem


@contextlib.asynccontextmanager
async def replica(registry: Repository, store: StoreFile, rate: str = "", failures: str = "") -> AsyncIterator[Service]:
    """Give one more service on a registry, or one with other limits."""
    service = Service(registry, store, rate=rate, failures=failures)
    yield service
    await service.client.aclose()
    await service.timeseries.close()


async def make(service: Service, name: str = "dashboard", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    answer = await service.client.post("/keys", json={"name": name, "scopes": ["read"], **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def status(service: Service, key: str, path: str = "/devices") -> int:
    async with service.asking(key) as client:
        return (await client.get(path)).status_code


async def add_groups(registry: Repository, *ids: str) -> None:
    async with transaction(registry.keys._writing) as db:  # noqa: SLF001 - groups have no part in what is tested
        for id_ in ids:
            await db.execute(insert(group).values(id=id_, name=id_, path=f"/{id_}/", created=1, updated=1))


async def test_a_key_is_shown_once_and_kept_as_a_hash(service: Service, registry: Repository) -> None:
    made = await make(service)
    assert made == {
        "id": made["id"],
        "name": "dashboard",
        "scopes": ["read"],
        "groups": None,
        "created": format_time(NOW),
        "created_by": "root",
        "expires": None,
        "last_used": None,
        "disabled": False,
        "key": made["key"],
    }
    assert made["key"].startswith(f"sk_{made['id']}_")
    shown = await service.get(f"/keys/{made['id']}")
    assert shown == {name: value for name, value in made.items() if name != "key"}
    assert await service.get("/keys") == {"items": [shown], "next": None}
    secret = made["key"].rpartition("_")[2]
    async with transaction(registry.keys._engine) as db:  # noqa: SLF001 - looks for the secret in every row
        for table in ("api_key", "audit"):
            assert secret not in str((await db.execute(text(f"SELECT * FROM {table}"))).all())  # noqa: S608 - ours
    assert await status(service, made["key"]) == 200


async def test_an_answer_that_holds_a_key_is_not_to_be_stored(service: Service) -> None:
    answer = await service.client.post("/keys", json={"name": "a", "scopes": ["read"]})
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Location"] == f"/api/v1/keys/{answer.json()['id']}"


async def test_wrong_keys_prove_nobody(service: Service) -> None:
    made = (await make(service))["key"]
    unknown_id = made.replace(made[3:19], "0" * 16)
    for wrong in (
        "",
        "x",
        KEY[:-1],
        made[:-2] + ("AA" if made[-2:] != "AA" else "BB"),
        unknown_id,
        made + "A",
        "é" * 20,
    ):
        async with service.asking(wrong) as client:
            answer = await client.get("/devices")
        assert problem(answer) == (401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_scopes_say_what_a_key_may_do(service: Service) -> None:
    keys = {scope: (await make(service, scope, scopes=[scope]))["key"] for scope in Scope}
    wanted = {"read": {"read", "admin"}, "write": {"write", "admin"}, "admin": {"admin"}}
    for scope, key in keys.items():
        async with service.asking(key) as client:
            answers = {
                "read": await client.get("/devices"),
                "write": await client.post("/devices", json={"id": f"d-{scope}"}),
                "admin": await client.get("/keys"),
            }
        for what, answer in answers.items():
            assert answer.is_success == (scope in wanted[what]), (scope, what)
            assert answer.is_success or problem(answer) == (403, "scope-missing")


async def test_only_an_admin_of_everything_makes_keys(service: Service, registry: Repository) -> None:
    await add_groups(registry, "north")
    limited = await make(service, "limited", scopes=["admin"], groups=["north"])
    writer = await make(service, "writer", scopes=["write", "read", "commands"])
    body = {"name": "more", "scopes": ["admin"]}
    for key, slug in ((limited, "key-limited"), (writer, "scope-missing")):
        async with service.asking(key["key"]) as client:
            for answer in (
                await client.post("/keys", json=body),
                await client.get("/keys"),
                await client.get(f"/keys/{key['id']}"),
                await client.patch(f"/keys/{key['id']}", json={"scopes": ["admin"], "groups": None}),
                await client.delete(f"/keys/{key['id']}"),
                await client.get("/audit"),
            ):
                assert problem(answer) == (403, slug)


async def test_everybody_is_told_who_they_are(service: Service, registry: Repository) -> None:
    await add_groups(registry, "north", "south")
    until = format_time(NOW + 60 * SECOND)
    made = await make(service, scopes=["read", "write"], groups=["south", "north"], expires=until)
    async with service.asking(made["key"]) as client:
        told = (await client.get("/me")).json()
    assert told == {"name": "dashboard", "scopes": ["read", "write"], "groups": ["north", "south"], "expires": until}
    assert await service.get("/me") == {
        "name": "root",
        "scopes": ["admin", "commands", "read", "write"],
        "groups": None,
        "expires": None,
    }


async def test_an_expired_key_is_of_no_use(service: Service) -> None:
    key = (await make(service, expires=format_time(NOW + SECOND)))["key"]
    assert await status(service, key) == 200
    service.clock.passed = 1
    assert await status(service, key) == 401


async def test_a_key_that_is_changed_is_in_force_here_at_once_and_elsewhere_after_a_second(
    service: Service, second_registry: Repository, store: StoreFile
) -> None:
    async with replica(second_registry, store) as other:
        disabled, removed = await make(service, "a"), await make(service, "b")
        for key in (disabled, removed):
            assert [await status(one, key["key"]) for one in (service, other)] == [200, 200]
        await service.client.patch(f"/keys/{disabled['id']}", json={"disabled": True})
        await service.client.delete(f"/keys/{removed['id']}")
        for key in (disabled, removed):
            assert [await status(one, key["key"]) for one in (service, other)] == [401, 200]
        other.clock.passed = LIFETIME_S
        assert LIFETIME_S <= 2
        for key in (disabled, removed):
            assert await status(other, key["key"]) == 401


async def test_a_key_is_looked_up_once_a_second_and_proved_while_the_database_is_away(
    service: Service, registry: Repository
) -> None:
    key = (await make(service))["key"]
    assert await status(service, key, "/me") == 200
    service.registry = None
    assert await status(service, key, "/me") == 200
    assert await status(service, KEY, "/me") == 200
    service.clock.passed = LIFETIME_S
    assert await status(service, key, "/me") == 503
    service.registry = registry
    assert await status(service, key, "/me") == 200


async def test_last_used_is_written_in_bulk(service: Service, registry: Repository) -> None:
    used, unused = await make(service, "a"), await make(service, "b")
    service.clock.passed = 5
    assert await status(service, used["key"]) == 200
    assert (await service.get(f"/keys/{used['id']}"))["last_used"] is None
    await service.keyring.flush()
    assert (await service.get(f"/keys/{used['id']}"))["last_used"] == format_time(NOW + 5 * SECOND)
    assert (await service.get(f"/keys/{unused['id']}"))["last_used"] is None
    await registry.keys.used({used["id"]: NOW})  # of another replica, and older
    assert (await service.get(f"/keys/{used['id']}"))["last_used"] == format_time(NOW + 5 * SECOND)


async def test_what_a_key_cannot_be_is_refused(service: Service) -> None:
    await make(service, "a")
    other = await make(service, "b")
    good = {"name": "c", "scopes": ["read"]}
    for body in (
        good | {"scopes": []},
        good | {"scopes": ["all"]},
        good | {"name": "Root"},
        good | {"name": "oidc:x"},
        good | {"groups": []},
        good | {"expires": "tomorrow"},
        good | {"key": "mine"},
    ):
        assert problem(await service.client.post("/keys", json=body)) == (422, "invalid-request")
    assert problem(await service.client.post("/keys", json=good | {"groups": ["none"]})) == (422, "unknown-group")
    assert problem(await service.client.post("/keys", json=good | {"name": "a"})) == (409, "key-exists")
    path = f"/keys/{other['id']}"
    assert problem(await service.client.patch(path, json={"name": "a"})) == (409, "key-exists")
    assert problem(await service.client.patch(path, json={"groups": ["none"]})) == (422, "unknown-group")
    assert problem(await service.client.patch("/keys/none", json={})) == (404, "unknown-key")
    assert problem(await service.client.get("/keys/none")) == (404, "unknown-key")
    assert problem(await service.client.delete("/keys/none")) == (404, "unknown-key")


async def test_changes_of_keys_are_in_the_audit_log(service: Service) -> None:
    made = await make(service)
    await service.client.patch(f"/keys/{made['id']}", json={"scopes": ["write"]}, headers={HEADER: "my-request"})
    await service.client.patch(f"/keys/{made['id']}", json={"scopes": ["write"]})  # as it is
    await service.client.delete(f"/keys/{made['id']}")
    entries = (await service.get("/audit", target=f"key/{made['id']}"))["items"]
    assert [entry["action"] for entry in entries] == ["key.remove", "key.change", "key.create"]
    assert (entries[1]["before"], entries[1]["after"]) == ({"scopes": ["read"]}, {"scopes": ["write"]})
    assert (entries[1]["who"], entries[1]["request"]) == ("root", "my-request")


async def test_a_key_that_asks_too_often_has_to_wait(registry: Repository, store: StoreFile) -> None:
    async with replica(registry, store, rate="2:10") as service:
        eager, other = (await make(service, "a"))["key"], (await make(service, "b"))["key"]
        assert [await status(service, eager) for _ in range(3)] == [200, 200, 429]
        async with service.asking(eager) as client:
            answer = await client.get("/devices")
        assert problem(answer) == (429, "too-many-requests")
        assert answer.headers["Retry-After"] == "5"
        assert await status(service, other) == 200
        assert {await status(service, KEY) for _ in range(5)} == {200}
        assert service.metric("rate_limited_total", kind="key") == 2
        service.clock.passed = 5
        assert [await status(service, eager) for _ in range(2)] == [200, 429]


async def test_an_address_with_too_many_wrong_keys_has_to_wait_but_for_keys_known_here(
    registry: Repository, store: StoreFile
) -> None:
    async with replica(registry, store, failures="2:10") as service:
        known, new = (await make(service, "a"))["key"], (await make(service, "b"))["key"]
        assert await status(service, known) == 200
        assert [await status(service, "wrong") for _ in range(3)] == [401, 401, 429]
        assert await status(service, known) == 200
        assert await status(service, KEY) == 200
        assert await status(service, new) == 429
        assert await status(service, "") == 401
        assert service.metric("rate_limited_total", kind="address") == 2
        service.clock.passed = 5
        assert await status(service, new) == 200


async def test_a_ticket_stands_in_for_a_key_once(
    service: Service, second_registry: Repository, store: StoreFile
) -> None:
    made = await make(service)
    async with replica(second_registry, store) as other, service.asking(made["key"]) as client:
        answer = await client.post("/tickets")
        assert answer.status_code == 201
        assert answer.headers["Cache-Control"] == "no-store"
        ticket = answer.json()["ticket"]
        async with other.asking("") as nobody:
            first = await nobody.get("/me", params={"ticket": ticket})
            assert first.json()["name"] == "dashboard"
            assert problem(await nobody.get("/me", params={"ticket": ticket})) == (401, "unauthorized")
        assert await status(service, "", f"/me?ticket={ticket}") == 401


async def test_a_ticket_is_of_no_use_after_30_s_nor_once_its_key_is_revoked(
    service: Service, registry: Repository
) -> None:
    made = await make(service)
    async with service.asking(made["key"]) as client:
        tickets = [(await client.post("/tickets")).json()["ticket"] for _ in range(3)]
    service.clock.passed = 29
    assert await status(service, "", f"/me?ticket={tickets[0]}") == 200
    service.clock.passed = 30
    assert await status(service, "", f"/me?ticket={tickets[1]}") == 401
    service.clock.passed = 29
    await service.client.delete(f"/keys/{made['id']}")
    assert await status(service, "", f"/me?ticket={tickets[2]}") == 401
    assert await status(service, "", "/me?ticket=" + "x" * 4000) == 401
    assert await registry.tickets.take("none", NOW) is None


async def test_upkeep_deletes_what_is_too_old(service: Service, registry: Repository) -> None:
    await make(service)
    async with service.asking(KEY) as client:
        await client.post("/tickets")
    upkeep = Upkeep(registry, service.keyring, logs.quiet(), service.clock.now, audit_days=1)
    service.clock.passed = 2 * 86_400
    await upkeep.sweep()
    async with transaction(registry.keys._engine) as db:  # noqa: SLF001 - counts rows
        for table in ("ticket", "audit"):
            assert await db.scalar(text(f"SELECT count(*) FROM {table}")) == 0  # noqa: S608 - ours


async def test_addresses_of_ipv4_are_told_apart_where_a_listener_takes_both(
    registry: Repository, store: StoreFile
) -> None:
    async def ask(service: Service, address: str) -> int:
        transport = httpx.ASGITransport(service.app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url=service.client.base_url) as client:
            return (await client.get("/me", headers={"Authorization": "Bearer wrong"})).status_code

    async with replica(registry, store, failures="1:60") as service:
        assert [await ask(service, "::ffff:192.0.2.1") for _ in range(2)] == [401, 429]
        assert await ask(service, "::ffff:192.0.2.2") == 401
        assert [await ask(service, address) for address in ("2001:db8::1", "2001:db8::2")] == [401, 429]
