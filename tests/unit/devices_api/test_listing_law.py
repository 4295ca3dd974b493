import asyncio
from collections import Counter
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from devices_api.lists.buckets import By, Counts
from devices_api.lists.choice import Chosen, Order, read_cursor, write_cursor
from devices_api.lists.counting import counts
from devices_api.lists.filter_terms import SCALARS, Field, Kind
from devices_api.lists.filters import parse
from devices_api.lists.listing import page, where
from devices_api.lists.searching import words
from devices_api.tables import device
from tests.devices.filter_strategies import GROUPS, FilteredDevice, devices, filters
from tests.devices.registry_rows import add, add_groups, drop

IDS = [f"d{n}" for n in range(12)]
VIEW = frozenset({"h", "z"})

fleets = st.sets(st.sampled_from(IDS)).flatmap(lambda ids: st.tuples(*map(devices, sorted(ids))))
edits = st.sampled_from(IDS).flatmap(lambda id_: st.tuples(st.just(id_), st.none() | devices(id_)))
orders = st.builds(Order, st.sampled_from(sorted(SCALARS)), st.booleans())
choices = st.none() | filters().map(parse)


def is_shown(one: FilteredDevice, chosen: Chosen, view: frozenset[str] | None) -> bool:
    return (
        (view is None or bool(one.groups & view))
        and (one.deleted is None or not chosen.live)
        and (chosen.filter is None or chosen.filter.takes(one.seen_by(view)))
    )


async def pages(
    db: AsyncConnection, chosen: Chosen, order: Order, limit: int, changes: Sequence[tuple[str, FilteredDevice | None]]
) -> list[str]:
    """List devices, with one of `changes` after each page, for as long as there are some."""
    listed, left, after = [], list(changes), None
    while True:
        found = await page(db, VIEW, chosen, order, after, limit)
        listed += [one.id for one in found.devices]
        assert len(found.devices) <= limit
        if found.end is None:
            return listed
        after = read_cursor(chosen, order, write_cursor(chosen, order, found.end))
        assert after == found.end
        if left:
            id_, new = left.pop()
            await db.run_sync(drop, id_)
            if new is not None:
                await db.run_sync(add, new)


@settings(max_examples=30)
@given(fleets, choices, orders, st.integers(1, 3), st.lists(edits, max_size=4))
def test_a_device_that_is_there_all_along_is_on_one_page_whatever_happens_to_others(
    runner: asyncio.Runner,
    tables: AsyncEngine,
    fleet: Sequence[FilteredDevice],
    filter_: None,
    order: Order,
    limit: int,
    changes: Sequence[tuple[str, FilteredDevice | None]],
) -> None:
    chosen = Chosen(filter_)
    touched = {id_ for id_, _ in changes}
    steady = {one.id: one for one in fleet if one.id not in touched and is_shown(one, chosen, VIEW)}

    async def check() -> None:
        async with tables.connect() as db:
            await db.run_sync(add_groups)
            for one in fleet:
                await db.run_sync(add, one)
            listed = [id_ for id_ in await pages(db, chosen, order, limit, changes) if id_ not in touched]
            await db.rollback()
        assert sorted(listed) == sorted(steady)
        if order.field == "id" or SCALARS[order.field] is not Kind.TEXT:  # databases have orders of texts of their own
            assert listed == in_order(list(steady.values()), order)

    runner.run(check())


def in_order(fleet: Sequence[FilteredDevice], order: Order) -> list[str]:
    field = Field(order.field)
    having = [(field.of(one), one.id) for one in fleet if field.of(one) is not None]
    rest = [one.id for one in fleet if field.of(one) is None]
    sort = sorted(having, reverse=order.descending), sorted(rest, reverse=order.descending)
    return [id_ for _, id_ in sort[0]] + sort[1]


@settings(max_examples=20)
@given(fleets, choices, st.none() | st.just(VIEW), st.integers(1, 4))
def test_counts_are_those_of_the_devices_shown(
    runner: asyncio.Runner,
    tables: AsyncEngine,
    fleet: Sequence[FilteredDevice],
    filter_: None,
    view: frozenset[str] | None,
    limit: int,
) -> None:
    chosen = Chosen(filter_)
    shown = [one for one in fleet if is_shown(one, chosen, view)]

    async def check() -> None:
        async with tables.connect() as db:
            await db.run_sync(add_groups)
            for one in fleet:
                await db.run_sync(add, one)
            for by in (By("profile"), By("enabled"), By("state"), By("tags", "k"), By("group")):
                found = await counts(db, view, chosen, by, limit)
                assert found.total == len(shown)
                compare(found, by, shown, view, limit)
            await db.rollback()

    runner.run(check())


def compare(found: Counts, by: By, shown: Sequence[FilteredDevice], view: frozenset[str] | None, limit: int) -> None:
    of = {one.id: values_of(one, by, view) for one in shown}
    expected = Counter(value for values in of.values() for value in values)
    none = {"unknown"} if by.name == "state" else {None}
    having = [bucket for bucket in found.buckets if bucket.value not in none]
    assert {bucket.value: bucket.devices for bucket in having}.items() <= expected.items()
    largest = sorted((expected[value] for value in expected if value not in none), reverse=True)
    assert [bucket.devices for bucket in having] == largest[:limit]
    assert sum(bucket.devices for bucket in found.buckets if bucket.value in none) == sum(expected[v] for v in none)
    named = {bucket.value for bucket in found.buckets}
    assert found.other == sum(not values & named for values in of.values())
    if by.name == "group":
        direct = Counter(group for one in shown for group in one.direct)
        assert all(bucket.direct == direct[str(bucket.value)] for bucket in having)


def values_of(one: FilteredDevice, by: By, view: frozenset[str] | None) -> set[str | bool | None]:
    match by.name:
        case "profile":
            return {one.profile}
        case "enabled":
            return {one.enabled}
        case "state":
            return {"unknown" if one.online is None else "online" if one.online else "offline"}
        case "tags":
            return {one.tags.get(by.key)}
    return {group for group in one.groups if view is None or view & set(GROUPS[group])} or {None}


def test_a_search_finds_devices_in_which_every_word_occurs(runner: asyncio.Runner, tables: AsyncEngine) -> None:
    fleet = [
        device_named("pump-1", "Große Pumpe", {"site": "north"}),
        device_named("pump-2", "Small 100% pump", {"site": "South"}),
        device_named("fan_1", "Fan", {"north": "yes"}),
    ]

    async def check() -> None:
        async with tables.connect() as db:
            for one in fleet:
                await db.run_sync(add, one)
            for search, expected in {
                "pump": "pump-1 pump-2",
                "NORTH": "fan_1 pump-1",
                "GROSSE": "pump-1",
                "mall ump": "pump-2",
                "site=south": "pump-2",
                "0%": "pump-2",
                "_": "fan_1",
                "north zebra": "",
                "  ": "fan_1 pump-1 pump-2",
            }.items():
                matching = select(device.c.id).where(where(Chosen(None, words(search)), None, db.dialect.name))
                assert sorted(await db.scalars(matching)) == expected.split(), search
            await db.rollback()

    runner.run(check())


def device_named(id_: str, name: str, tags: dict[str, str]) -> FilteredDevice:
    enabled = True
    return FilteredDevice(
        id_, name, "p", "", enabled, 0, 0, 1, None, tags, {}, {}, frozenset(), None, None, None, None, None, None, 0
    )
