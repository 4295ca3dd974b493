"""Migrations: where they end, what they leave, and that a start without them is short."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

import devices_api
from devices_api import database
from devices_api.errors import UnavailableError
from devices_api.registry.devices import Device
from devices_api.registry.profiles import Profile
from devices_api.repository import Repository
from devices_api.tables import metadata


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(devices_api.__file__).with_name("migrations")))
    assert ScriptDirectory.from_config(config).get_current_head() == database.HEAD


async def test_migrations_end_at_the_tables_of_this_version(tmp_path: Path) -> None:
    engine = database.connect(f"sqlite+aiosqlite:///{tmp_path}/a/folder/of/its/own/r.sqlite3")
    await database.migrate(engine)

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_a_migrated_database_is_opened_without_alembic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = database.connect(f"sqlite+aiosqlite:///{tmp_path}/r.sqlite3")
    await database.migrate(engine)
    monkeypatch.setitem(sys.modules, "alembic.command", None)  # importing it fails
    await database.migrate(engine)
    await engine.dispose()


async def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    engine = database.connect(f"sqlite+aiosqlite:///{tmp_path}/r.sqlite3")
    await database.migrate(engine)
    with sqlite3.connect(tmp_path / "r.sqlite3") as other:
        other.execute("UPDATE alembic_version SET version_num = '9999'")
    other.close()
    with pytest.raises(CommandError, match="9999"):
        await database.migrate(engine)
    await engine.dispose()


async def test_sqlite_is_set_up_properly(tmp_path: Path) -> None:
    engine = database.connect(f"sqlite+aiosqlite:///{tmp_path}/r.sqlite3")
    async with engine.connect() as connection:
        found = {
            name: await connection.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    await engine.dispose()
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}


async def test_devices_of_before_profiles_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = database.connect(f"sqlite+aiosqlite:///{tmp_path}/r.sqlite3")
    monkeypatch.setattr(database, "HEAD", "0002")
    await database.migrate(engine)
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO device VALUES ('d', 'D', 'still', '{}', 1, 5, 6)"))
        await connection.execute(text("INSERT INTO presence VALUES ('d', 1, 7, 8)"))
    monkeypatch.undo()
    await database.migrate(engine)
    registry = Repository(engine)
    device = await registry.get("d")
    assert device == Device("d", "D", "still", {}, True, 5, 6, "", {}, {}, True, 7, "")  # noqa: FBT003 - a row of before
    await registry.close()


async def test_profiles_of_before_computed_metrics_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = database.connect(f"sqlite+aiosqlite:///{tmp_path}/r.sqlite3")
    monkeypatch.setattr(database, "HEAD", "0003")
    await database.migrate(engine)
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO profile VALUES ('still', '{}', 'UTC', 1, '', '5:1', 6, 7)"))
    monkeypatch.undo()
    await database.migrate(engine)
    registry = Repository(engine)
    assert await registry.profiles.get("still") == Profile(
        zone="UTC", keep_raw=True, point_rate="5:1", id="still", created=6, updated=7
    )
    await registry.close()


async def test_an_error_of_the_database_does_not_tell_what_was_written(registry: Repository) -> None:
    with pytest.raises(DBAPIError) as raised:
        async with database.transaction(registry._engine) as db:  # noqa: SLF001 - no method fails like this
            await db.execute(text("INSERT INTO ticket (hash) VALUES (:hash)"), {"hash": "a-secret"})
    assert "a-secret" not in str(raised.value)


async def test_a_database_that_cannot_be_written_is_unavailable(registry: Repository, tmp_path: Path) -> None:
    folder = tmp_path / "registry"
    await registry.close()
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    with pytest.raises(UnavailableError, match="database"):
        await registry.get("a")


def test_the_service_starts_without_what_takes_long_to_import() -> None:
    heavy = ("alembic", "argon2", "cryptography", "jwt", "numpy", "paho", "pyarrow", "sqlalchemy", "tsdownsample")
    program = f"import sys, devices_api.__main__, devices_api.app; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
