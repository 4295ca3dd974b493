"""What holds of twins on SQLite, on PostgreSQL."""

from tests.unit.devices_api.test_twins_http import *  # noqa: F403 - the same tests, with this folder's registry
