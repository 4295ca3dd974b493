"""What holds of jobs on SQLite, on PostgreSQL."""

from tests.unit.devices_api.test_jobs_http import *  # noqa: F403 - the same tests, with this folder's registry
