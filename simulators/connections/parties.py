"""Where the broker is, and how to log in there."""

import ssl
from dataclasses import dataclass, field


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
