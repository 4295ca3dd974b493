"""What holds of rules over HTTP on SQLite, on PostgreSQL."""

from tests.unit.alerting.test_rules_http import *  # noqa: F403 - the same tests, with this folder's database
