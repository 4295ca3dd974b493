"""What holds of lists and counts on SQLite, on PostgreSQL."""

from tests.unit.devices_api.test_listing_law import *  # noqa: F403 - the same tests, with this folder's tables
