"""What devices prove who they are with: its kinds, when it is valid, and the secrets in it. Pure."""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

Entropy = Callable[[int], bytes]
"""Gives so many random bytes, fit for secrets."""

MOST_VALID = 10
"""Credentials of a device that are neither revoked nor expired: each password costs a login its time."""

SECRET_BYTES = 32
SHORTEST_PASSWORD = 8
LONGEST_SECRET = 512


class Kind(StrEnum):
    """What a credential is."""

    PASSWORD = "password"  # noqa: S105 - the kind's name
    """A password, kept as argon2id."""
    TOKEN = "token"  # noqa: S105 - as above
    """32 random bytes, sent in the place of a password and kept as SHA-256."""
    CERTIFICATE = "certificate"
    """One X.509 certificate, known by its SHA-256 fingerprint."""
    AUTHORITY = "authority"
    """Any certificate of a registered authority whose common name is the device's id."""


SECRET_KINDS = frozenset({Kind.PASSWORD, Kind.TOKEN})
"""Kinds that are sent as an MQTT password."""


@dataclass(frozen=True)
class Credential:
    """A device's credential. Times in ns since 1970 UTC; `hash` is as in the table."""

    id: str
    device: str
    kind: Kind
    name: str
    hash: str
    not_before: int
    created: int
    expires: int | None = None
    revoked: int | None = None
    last_used: int | None = None
    authority: str | None = None
    claim: str | None = None

    def valid(self, now: int) -> bool:
        """Whether it opens anything at `now`."""
        return self.not_before <= now and not self.over(now)

    def over(self, now: int) -> bool:
        """Whether it is revoked, or expired for good."""
        return self.revoked is not None or (self.expires is not None and self.expires <= now)


class RefusedError(Exception):
    """What was asked for cannot be done: `slug` is its problem's type, the message says why."""

    def __init__(self, slug: str, message: str) -> None:
        super().__init__(message)
        self.slug = slug


def new_id(entropy: Entropy) -> str:
    """Make an id: 12 hex digits."""
    return entropy(6).hex()


def new_secret(entropy: Entropy) -> str:
    """Make a secret of 32 random bytes, as 43 characters of A-Z a-z 0-9 - _."""
    return urlsafe_b64encode(entropy(SECRET_BYTES)).rstrip(b"=").decode()


def digest(secret: str) -> str:
    """SHA-256 of a secret's UTF-8, in hex: enough for one of 32 random bytes, which nobody can guess."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def same(one: str, other: str) -> bool:
    """Compare two digests in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())
