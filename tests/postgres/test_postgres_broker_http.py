"""What brokers' logins change in the registry, on PostgreSQL."""

from tests.unit.devices_api.test_broker_http import (
    broker,
    test_an_authority_may_register_devices_at_their_first_login,
    test_when_a_credential_was_last_used_is_written_in_a_while,
)

__all__ = [
    "broker",
    "test_an_authority_may_register_devices_at_their_first_login",
    "test_when_a_credential_was_last_used_is_written_in_a_while",
]
