"""What holds of files of rules on SQLite, on PostgreSQL."""

from tests.unit.alerting.test_rule_files import *  # noqa: F403 - the same tests, with this folder's database
