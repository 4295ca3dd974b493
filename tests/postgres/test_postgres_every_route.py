"""What holds of every route on SQLite, on PostgreSQL."""

from tests.unit.devices_api.test_every_route import *  # noqa: F403 - the same tests, with this folder's registry
