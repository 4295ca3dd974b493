"""What holds of the registry on SQLite, on PostgreSQL."""

from tests.unit.devices_api.test_provisioning import *  # noqa: F403 - the same tests, with this folder's registry
