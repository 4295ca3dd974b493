"""What holds of planning on SQLite, on PostgreSQL; crashes are left to SQLite, whose transactions are as whole."""

from tests.unit.alerting.test_planner import (  # noqa: F401 - the same tests, with this folder's database
    site,
    test_a_rule_that_wants_nobody_told_tells_nobody,
    test_alerts_that_fire_are_told_once_somebody_is_to_be_told,
    test_an_alert_is_told_once_when_its_group_is_due,
    test_who_plans_on_what_another_has_changed_writes_nothing,
)
