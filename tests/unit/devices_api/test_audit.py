"""The audit log: who changed what, as operators read it."""

from typing import Any

import pytest
from sqlalchemy import func, insert, select

from contracts.times import SECOND, format_time
from devices_api.access import Principal, Scope
from devices_api.audit import HIDDEN, Fields, Wanted, audit
from devices_api.database import transaction
from devices_api.repository import Repository
from devices_api.tables import group
from tests.unit.devices_api.conftest import NOW, Service, problem

ANNA = Principal("anna", frozenset({Scope.WRITE}), request="r-1")
BEN = Principal("ben", frozenset({Scope.ADMIN}), request="r-2")


async def note(
    registry: Repository, by: Principal, target: str, before: Fields = None, after: Fields = None, *, at: int = NOW
) -> None:
    async with transaction(registry.audit._writing) as db:  # noqa: SLF001 - a transaction as callers have it
        await audit(db, by, "device.change", target, before, after, at)


async def test_an_entry_has_who_what_and_the_fields_that_differ(service: Service, registry: Repository) -> None:
    await note(registry, ANNA, "device/pump-7", {"name": "a", "tags": {"x": "1"}}, {"name": "b", "tags": {"x": "1"}})
    assert await service.get("/audit") == {
        "items": [
            {
                "id": 1,
                "at": format_time(NOW),
                "who": "anna",
                "action": "device.change",
                "target": "device/pump-7",
                "before": {"name": "a"},
                "after": {"name": "b"},
                "request": "r-1",
            }
        ],
        "next": None,
    }


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        (None, {"name": "a"}, (None, {"name": "a"})),
        ({"name": "a"}, None, ({"name": "a"}, None)),
        ({"a": 1}, {"b": None}, ({"a": 1}, {"b": None})),
        ({"a": 1}, {"a": 1}, ({}, {})),
        ({"scope": Scope.READ}, {"scope": Scope.WRITE}, ({"scope": "read"}, {"scope": "write"})),
        ({"secret": "x", "n": 1}, {"secret": "y", "n": 1}, ({"secret": HIDDEN}, {"secret": HIDDEN})),
    ],
)
async def test_what_is_kept_is_what_differs_and_no_secret(
    registry: Repository, before: Fields, after: Fields, kept: tuple[Any, Any]
) -> None:
    await note(registry, ANNA, "x", before, after)
    [entry] = await registry.audit.page(Wanted(), None, 2)
    assert (entry.before, entry.after) == kept


async def test_a_change_that_is_rolled_back_leaves_no_entry(registry: Repository) -> None:
    async def change() -> None:
        async with transaction(registry.audit._writing) as db:  # noqa: SLF001 - as above
            await db.execute(insert(group).values(id="g", name="g", path="/g/", created=1, updated=1))
            await audit(db, ANNA, "group.create", "group/g", None, {"name": "g"}, NOW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change()
    async with transaction(registry.audit._engine) as db:  # noqa: SLF001 - as above
        assert await db.scalar(select(func.count()).select_from(group)) == 0
    assert await registry.audit.page(Wanted(), None, 1) == []


async def test_entries_are_found_by_who_action_target_and_time(service: Service, registry: Repository) -> None:
    for n, (by, target) in enumerate([(ANNA, "device/a"), (BEN, "device/a"), (ANNA, "device/b")]):
        await note(registry, by, target, at=NOW + n * SECOND)

    async def ids(**query: str) -> list[int]:
        return [item["id"] for item in (await service.get("/audit", **query))["items"]]

    assert await ids() == [3, 2, 1]
    assert await ids(who="anna") == [3, 1]
    assert await ids(target="device/a") == [2, 1]
    assert await ids(action="device.remove") == []
    assert await ids(start=format_time(NOW + SECOND), end=format_time(NOW + 2 * SECOND)) == [2]
    assert problem(await service.client.get("/audit?start=20&end=10")) == (400, "bad-time")


async def test_pages_go_from_the_newest_to_the_oldest_while_others_are_added(
    service: Service, registry: Repository
) -> None:
    for n in range(5):
        await note(registry, ANNA, f"device/{n}")
    seen, page = [], await service.get("/audit", limit=2)
    while True:
        seen += [item["target"] for item in page["items"]]
        if page["next"] is None:
            break
        await note(registry, BEN, "device/new")
        page = await service.get("/audit", limit=2, cursor=page["next"])
    assert seen == [f"device/{n}" for n in (4, 3, 2, 1, 0)]
    assert problem(await service.client.get("/audit?cursor=bogus")) == (400, "bad-cursor")


async def test_old_entries_are_dropped_a_few_at_a_time(registry: Repository) -> None:
    for n in range(5):
        await note(registry, ANNA, f"device/{n}", at=n)
    assert [await registry.audit.drop(4, 3), await registry.audit.drop(4, 3)] == [3, 1]
    assert [entry.target for entry in await registry.audit.page(Wanted(), None, 9)] == ["device/4"]
