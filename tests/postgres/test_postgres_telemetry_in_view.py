"""What holds of telemetry that keys are limited in, on PostgreSQL."""

from tests.unit.devices_api.test_telemetry_in_view import *  # noqa: F403 - the same tests, with this folder's registry
