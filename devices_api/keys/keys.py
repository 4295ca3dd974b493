"""API keys: their text, what is kept of it, and whom they prove. Pure.

A key reads `sk_ID_SECRET`, where ID finds its row and SECRET is 32 random bytes. Of the text only its SHA-256 is kept.
A slow hash would guard nothing: it is for passwords, which can be guessed; 256 random bits cannot, however fast each
guess is, and every request would pay for it.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

from devices_api.access import Principal, Scope, View

RandomBytes = Callable[[int], bytes]
"""Gives so many bytes that nobody can foretell."""

SECRET_BYTES = 32
LONGEST = 128
"""Characters of the longest text that is looked at as a key."""

_ID_BYTES = 8
_TEXT = re.compile(r"sk_([0-9a-f]{16})_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class Key:
    """A key as it is kept. Times are ns since 1970 UTC; `groups` is None where it is not limited to any."""

    id: str
    name: str
    hash: str
    scopes: frozenset[Scope]
    groups: View
    created: int
    created_by: str
    expires: int | None = None
    last_used: int | None = None
    disabled: bool = False

    def principal(self) -> Principal:
        """Whom it proves."""
        return Principal(self.name, self.scopes, self.groups, key=self.id, expires=self.expires)

    def good(self, now: int) -> bool:
        """Whether it proves anybody at `now`."""
        return not self.disabled and (self.expires is None or now < self.expires)

    def told(self) -> dict[str, object]:
        """Give what the audit log may know of it."""
        scopes, groups = sorted(self.scopes), None if self.groups is None else sorted(self.groups)
        return {"name": self.name, "scopes": scopes, "groups": groups} | {
            "expires": self.expires,
            "disabled": self.disabled,
        }


class KeyChange(TypedDict, total=False):
    """What is to be replaced of a key."""

    name: str
    scopes: frozenset[Scope]
    groups: View
    expires: int | None
    disabled: bool


def make_secret(random_bytes: RandomBytes) -> str:
    """Make text of 32 random bytes, in the letters that an URL may have."""
    return base64.urlsafe_b64encode(random_bytes(SECRET_BYTES)).decode().rstrip("=")


def make_key(random_bytes: RandomBytes) -> tuple[str, str]:
    """Make a key's id and its whole text."""
    id_ = random_bytes(_ID_BYTES).hex()
    return id_, f"sk_{id_}_{make_secret(random_bytes)}"


def key_id(text: str) -> str:
    """Read the id in a key's text; empty if it is no key's."""
    match = _TEXT.fullmatch(text) if len(text) <= LONGEST else None
    return match[1] if match else ""


def digest(text: str) -> str:
    """Give what is kept of a secret's text."""
    return hashlib.sha256(text.encode()).hexdigest()


def same(text: str, kept: str) -> bool:
    """Whether `kept` is of `text`; takes as long for a wrong one as for the right one."""
    return hmac.compare_digest(digest(text), kept)
