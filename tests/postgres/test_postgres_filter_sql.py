"""What holds of filters on SQLite, on PostgreSQL."""

from tests.unit.devices_api.test_filter_sql import *  # noqa: F403 - the same tests, with this folder's tables
