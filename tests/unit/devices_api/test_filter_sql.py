import asyncio
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select
from sqlalchemy.ext.asyncio import AsyncEngine

from devices_api.lists.filter_sql import condition
from devices_api.lists.filters import parse
from devices_api.tables import activity, device, member, presence, tag
from tests.devices.filter_strategies import FilteredDevice, devices, filters
from tests.devices.registry_rows import add, add_groups

VIEWS = (None, frozenset({"h", "z"}))


def differences(
    db: Connection, made: Sequence[FilteredDevice], texts: Sequence[str], view: frozenset[str] | None
) -> list[tuple[str, set[str]]]:
    """Give the filters that do not take the same from the tables as from the devices, with what differs."""
    add_groups(db)
    for one in made:
        add(db, one)
    found = []
    everything = select(device.c.id)
    for table in (presence, activity, tag, member):  # a query may read them for other ends
        everything = everything.outerjoin(table, table.c.device == device.c.id)
    for text in texts:
        filter_ = parse(text)
        taken = set(db.scalars(everything.where(condition(filter_, view, db.dialect.name))))
        if differing := taken ^ {one.id for one in made if filter_.takes(one.seen_by(view))}:
            found.append((text, differing))
    return found


@settings(max_examples=30)
@given(
    st.tuples(*(devices(f"d{n}") for n in "123")), st.lists(filters(), min_size=1, max_size=8), st.sampled_from(VIEWS)
)
def test_sql_takes_what_the_filter_takes(
    runner: asyncio.Runner,
    tables: AsyncEngine,
    made: Sequence[FilteredDevice],
    texts: Sequence[str],
    view: frozenset[str] | None,
) -> None:
    async def check() -> None:
        async with tables.connect() as db:
            assert await db.run_sync(differences, made, texts, view) == []
            await db.rollback()

    runner.run(check())
