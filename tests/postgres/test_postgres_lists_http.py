"""What holds of lists on SQLite, on PostgreSQL."""

from tests.unit.devices_api.test_lists_http import *  # noqa: F403 - the same tests, with this folder's registry
