"""What holds of commands on SQLite, on PostgreSQL."""

from tests.unit.devices_api.test_commands_http import *  # noqa: F403 - the same tests, with this folder's registry
