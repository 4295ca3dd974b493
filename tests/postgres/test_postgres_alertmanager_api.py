"""What holds of Alertmanager's API on SQLite, on PostgreSQL."""

from tests.unit.alerting.test_alertmanager_api import *  # noqa: F403 - the same tests, with this folder's database
