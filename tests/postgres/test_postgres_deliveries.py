"""Deliveries, and receivers over HTTP, in PostgreSQL: the tests of SQLite."""

from tests.unit.alerting.test_receivers_http import (
    service,
    test_what_was_read_can_be_written_back_and_keeps_the_secrets,
    test_what_was_sent_can_be_read_and_sent_again,
)
from tests.unit.alerting.test_sender import (
    post,
    test_a_notification_that_is_rejected_holds_up_nothing_and_is_tried_on,
    test_everything_arrives_in_the_order_of_its_group,
    test_only_the_newest_tries_are_kept_and_all_are_counted,
    test_too_many_drop_the_oldest_and_are_counted,
    test_what_ended_long_ago_is_forgotten_with_its_tries,
    test_what_is_too_old_is_given_up_and_can_be_sent_again,
)

__all__ = [
    "post",
    "service",
    "test_a_notification_that_is_rejected_holds_up_nothing_and_is_tried_on",
    "test_everything_arrives_in_the_order_of_its_group",
    "test_only_the_newest_tries_are_kept_and_all_are_counted",
    "test_too_many_drop_the_oldest_and_are_counted",
    "test_what_ended_long_ago_is_forgotten_with_its_tries",
    "test_what_is_too_old_is_given_up_and_can_be_sent_again",
    "test_what_was_read_can_be_written_back_and_keeps_the_secrets",
    "test_what_was_sent_can_be_read_and_sent_again",
]
