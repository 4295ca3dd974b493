"""What holds of moving to the tables of notifications on SQLite, on PostgreSQL."""

from tests.unit.alerting.test_notification_migration import *  # noqa: F403 - the same tests, with this folder's database
