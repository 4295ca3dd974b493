"""Who asks, what they may do, and which devices they see. Pure."""

from dataclasses import dataclass
from enum import StrEnum

View = frozenset[str] | None
"""The groups that somebody is limited to: devices in one of them or below it are seen. None: everything is."""


class Scope(StrEnum):
    """What a key may be used for."""

    READ = "read"
    """To see devices, their telemetry and everything about them."""
    WRITE = "write"
    """To change the registry and desired states, and to import."""
    COMMANDS = "commands"
    """To send commands to devices."""
    ADMIN = "admin"
    """All of it, and besides keys, credentials, the audit log, and deleting telemetry."""


@dataclass(frozen=True)
class Principal:
    """Somebody who has proved who they are; `name` is for the audit log.

    `request` is the id of the request that they ask with, `key` the id of the API key that they have, where they have
    one, and `expires` when what they have proved ends, in ns since 1970 UTC.
    """

    name: str
    scopes: frozenset[Scope]
    view: View = None
    request: str = ""
    key: str = ""
    expires: int | None = None

    def may(self, scope: Scope) -> bool:
        """Whether `scope` is theirs."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


ROOT = Principal("root", frozenset(Scope))
"""Whoever has the key of the service's own configuration."""
