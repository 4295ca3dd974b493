"""What holds of activity on SQLite, on PostgreSQL."""

from tests.unit.devices_api.test_activities import *  # noqa: F403 - the same tests, with this folder's registry
