"""What a scenario acts on: a stack of its own, one that runs already, or somebody else's system."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from simulators.scenario.failures import Action


class StageError(Exception):
    """Something cannot be done to a stage; the message says why, and what to do instead, in one line."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything is; empty where there is no such thing.

    `devices_api` and `alerting` are base URLs, and `key` is what both take. `metrics` maps services to the base URLs of
    their /metrics.
    """

    mqtt_host: str
    mqtt_port: int
    devices_api: str = ""
    alerting: str = ""
    key: str = field(default="", repr=False)
    metrics: Mapping[str, str] = field(default_factory=dict)


class Stage(Protocol):
    """A system under load, whose programs can be made to fail where it allows that."""

    @property
    def addresses(self) -> Addresses:
        """Say where everything is."""

    def pids(self) -> dict[str, int]:
        """Give the process ids of its programs that run now, by name; none where they are not known."""

    def lacks(self, action: Action) -> str:
        """Say why `action` cannot be done here, or nothing if it can."""

    async def do(self, action: Action) -> None:
        """Make something fail. Raises StageError."""

    async def undo(self, action: Action) -> None:
        """End what `do` began. Raises StageError."""


class Foreign:
    """A system of which nothing is known but addresses: it can be loaded and asked, and nothing of it made to fail."""

    def __init__(self, addresses: Addresses) -> None:
        self.addresses = addresses

    def pids(self) -> dict[str, int]:
        """Know none."""
        return {}

    def lacks(self, action: Action) -> str:
        """Refuse everything."""
        del action
        return "only its addresses are known: use --stack or --data-dir, or a command of your own"

    async def do(self, action: Action) -> None:
        """Refuse."""
        raise StageError(self.lacks(action))

    async def undo(self, action: Action) -> None:
        """Refuse."""
        raise StageError(self.lacks(action))
