"""What holds of routing over HTTP on SQLite, on PostgreSQL."""

from tests.unit.alerting.test_routing_http import *  # noqa: F403 - the same tests, with this folder's database
