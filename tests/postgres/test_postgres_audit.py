"""What holds of the audit log on SQLite, on PostgreSQL."""

from tests.unit.devices_api.test_audit import *  # noqa: F403 - the same tests, with this folder's registry
