"""What holds of jobs on SQLite, on PostgreSQL."""

from tests.unit.devices_api.test_job_laws import *  # noqa: F403 - the same tests, with this folder's registry
