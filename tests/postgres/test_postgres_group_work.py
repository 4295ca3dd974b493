"""What holds of group rules at work on SQLite, on PostgreSQL."""

from tests.unit.alerting.test_group_work import (  # noqa: F401 - the same tests, with this folder's database
    _sooner,
    records,
    test_the_leader_alone_makes_an_alert_of_the_alerts_of_devices,
    test_who_takes_over_goes_on_with_the_same_alert_and_the_last_one_writes_nothing_more,
)
