"""Where the broker is, how to log in there, and how connections behave."""

import ssl
from dataclasses import dataclass, field

MOST_WINDOW = 60_000


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is; with `tls`, its certificate is checked against `host` as that says."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """What a connection shows to be let in."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Options:
    """How connections behave.

    `window` is how many messages of one may be sent and not acknowledged, up to MOST_WINDOW. `keepalive` is in seconds:
    after half of it without a message a connection asks for a sign of life, and it ends after another half without one.
    `at_once` is how many of all connections try to connect at the same time: a broker's queue for new ones is short.
    """

    window: int = 1000
    keepalive: int = 30
    at_once: int = 64

    def __post_init__(self) -> None:
        """Raise ValueError for a window that packet ids would not do for."""
        if not 1 <= self.window <= MOST_WINDOW:
            raise ValueError(f"a window of {self.window} messages, which is not 1 to {MOST_WINDOW}")


USUAL = Options()
