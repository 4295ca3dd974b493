"""A login on a broker, and what is decided about it. Pure."""

from dataclasses import dataclass
from typing import Literal

from devices_api.credentials.broker_rules import Who

Outcome = Literal["allowed", "unknown", "wrong_secret", "not_valid", "disabled", "client_id", "certificate", "busy"]


@dataclass(frozen=True)
class Attempt:
    """A login as a broker tells it; what it does not tell is empty, and `password` None.

    `common_name`, or `certificate` in PEM, or its `fingerprint` (SHA-256 in hex) are of a client certificate whose
    chain the broker has checked.
    """

    username: str
    client_id: str
    password: str | None = None
    common_name: str = ""
    certificate: str = ""
    fingerprint: str = ""


@dataclass(frozen=True)
class Verdict:
    """What is to be answered; `expires` in ns since 1970 UTC, where what was proved ends."""

    outcome: Outcome
    who: Who | None = None
    expires: int | None = None

    @property
    def allowed(self) -> bool:
        """Whether they may connect."""
        return self.outcome == "allowed"

    @property
    def superuser(self) -> bool:
        """Whether they may do what they want."""
        return self.allowed and self.who is not None and self.who.kind == "service"
