"""What holds of documents on SQLite, on PostgreSQL."""

from tests.unit.alerting.test_documents import *  # noqa: F403 - the same tests, with this folder's database
