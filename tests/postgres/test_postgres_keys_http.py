"""What holds of keys and tickets on SQLite, on PostgreSQL."""

from tests.unit.devices_api.test_keys_http import *  # noqa: F403 - the same tests, with this folder's registry
