"""What holds of partitions on SQLite, on PostgreSQL."""

from tests.unit.alerting.test_partition_state import *  # noqa: F403 - the same tests, with this folder's database
