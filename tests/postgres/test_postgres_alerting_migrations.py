"""What holds of alerting's migrations on SQLite, on PostgreSQL."""

from tests.unit.alerting.test_alerting_migrations import *  # noqa: F403 - the same tests, with this folder's database
