"""Migrations on either database: from every version that there was, and back."""

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from contracts.devices import Metric
from devices_api import database
from devices_api.registry.profile_repository import content_of
from devices_api.repository import Repository
from devices_api.tables import metadata

REVISIONS = [f"{number:04}" for number in range(1, int(database.HEAD) + 1)]
_DEVICE = (
    "INSERT INTO device (id, name, profile, tags, enabled, created, updated) "
    "VALUES ('d', 'D', 'still', :tags, TRUE, 5, 6)"
)

_PROFILE = (
    "INSERT INTO profile (id, metrics, zone, keep_raw, message_rate, point_rate, created, updated) "
    "VALUES ('still', :metrics, 'UTC', TRUE, '', '', 5, 6)"
)


async def to_revision(url: str, revision: str) -> None:
    engine = database.connect(url)
    async with engine.connect() as connection:
        await connection.execution_options(**database.WRITE)
        async with connection.begin():
            await connection.run_sync(lambda sync: command.upgrade(database.configuration(sync), revision))
    await engine.dispose()


def differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


@pytest.mark.parametrize("revision", REVISIONS)
async def test_a_database_of_every_version_is_brought_to_this_one_with_its_devices(
    empty_url: str, revision: str
) -> None:
    await to_revision(empty_url, revision)
    engine = database.connect(empty_url)
    async with engine.begin() as connection:
        await connection.execute(text(_DEVICE), {"tags": '{"site": "north"}'})
        if revision >= "0003":
            await connection.execute(text(_PROFILE), {"metrics": '{"t": {"unit": "degC"}}'})
    await database.migrate(engine)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
        if revision < "0005":  # from then on whoever writes a device writes its tags
            tags = (await connection.execute(text("SELECT device, key, value FROM tag"))).all()
            assert [tuple(row) for row in tags] == [("d", "site", "north")]
    registry = Repository(engine)
    if revision in ("0003", "0004"):
        profile = await registry.profiles.get("still")
        assert profile is not None
        [first] = await registry.profiles.versions("still", None, 9)
        assert (first.version, first.at, first.content) == (1, 6, content_of(profile))
        assert first.content.metrics == {"t": Metric(unit="degC")}
        announced = [(item.kind, item.id) for item in await registry.outbox.pending(9)]
        assert announced == [("profile", "still"), ("device", "d")], "profiles have records of their own now"
    device = await registry.get("d")
    assert device is not None
    assert (device.name, device.profile, device.tags) == ("D", "still", {"site": "north"})
    await registry.close()


async def test_every_migration_can_be_taken_back(empty_url: str) -> None:
    await to_revision(empty_url, database.HEAD)
    engine = database.connect(empty_url)
    async with engine.connect() as connection:
        await connection.execution_options(**database.WRITE)
        async with connection.begin():
            await connection.execute(text(_DEVICE), {"tags": "{}"})
        for revision in [*reversed(REVISIONS[:-1]), "base"]:
            async with connection.begin():
                back = revision
                await connection.run_sync(
                    lambda sync, back=back: command.downgrade(database.configuration(sync), back)  # type: ignore[misc]  # a default in a lambda
                )
            if revision != "base":
                assert await connection.scalar(text("SELECT count(*) FROM device")) == 1
                await connection.commit()
        left = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    await engine.dispose()
    assert left == ["alembic_version"]
