"""What holds of the migrations on SQLite, on PostgreSQL."""

from tests.unit.devices_api.test_migrations import *  # noqa: F403 - the same tests, with this folder's database
