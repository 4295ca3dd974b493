"""What holds of idempotency keys on SQLite, on PostgreSQL."""

from tests.unit.devices_api.test_idempotency import *  # noqa: F403 - the same tests, with this folder's registry
