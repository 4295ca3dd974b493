"""All that rests on credentials: giving them out, provisioning, and what brokers ask."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from devices_api.credentials.broker import Broker
from devices_api.credentials.credentials import Entropy
from devices_api.credentials.issuing import Issuing, Mirror
from devices_api.credentials.passwords import Passwords
from devices_api.credentials.provisioning import Provisioning
from devices_api.metrics import Metrics
from devices_api.repository import Repository


@dataclass(frozen=True)
class Identity:
    """The parts that routes and readers use."""

    issuing: Issuing
    provisioning: Provisioning
    broker: Broker

    @classmethod
    def on(  # noqa: PLR0913 - what it stands on, and what it needs
        cls,
        repository: Repository,
        passwords: Passwords,
        metrics: Metrics,
        *,
        mirror: Mirror | None,
        now: Callable[[], int],
        entropy: Entropy,
        registered: Callable[[], None],
        limit: int,
    ) -> Self:
        """Build it on a registry; `registered` is called after each device that registers itself."""
        issuing = Issuing(passwords, entropy, mirror)
        return cls(
            issuing,
            Provisioning(repository.claims, issuing, metrics, now, registered),
            Broker(
                repository.credentials,
                repository.authorities,
                repository.accounts,
                passwords,
                metrics,
                now=now,
                entropy=entropy,
                registered=registered,
                limit=limit,
            ),
        )
