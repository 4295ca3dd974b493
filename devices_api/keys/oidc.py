"""What a token of the identity provider says of who has it. Pure; that the provider signed it is known by then."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from contracts.times import LATEST, SECOND
from devices_api.access import Principal, Scope, View

LEEWAY = 30 * SECOND
"""How far the clocks here and at the provider may be apart."""

_SUBJECT = re.compile(r"[\x20-\x7e]{1,255}")
_GROUP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Claims:
    """Where a token says what. A token without the claim of groups sees all devices if `everything`, and else none.

    Scopes have the names of `Scope` after `prefix`; others are passed over, and so is what is no id of a group.
    """

    scopes: str = "scope"
    prefix: str = ""
    groups: str = "groups"
    everything: bool = False

    def read(self, token: Mapping[str, object], now: int) -> Principal | None:
        """Return whom a token proves at `now`; None where it is expired, not valid yet, or names nobody."""
        expires, begins, subject = _moment(token.get("exp")), _moment(token.get("nbf", 0)), token.get("sub")
        if expires is None or begins is None or not begins - LEEWAY <= now < expires + LEEWAY:
            return None
        if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
            return None
        given = _words(token.get(self.scopes))
        scopes = frozenset(scope for scope in Scope if self.prefix + scope in given)
        return Principal(f"oidc:{subject}", scopes, self._view(token), expires=expires)

    def _view(self, token: Mapping[str, object]) -> View:
        if self.groups not in token:
            return None if self.everything else frozenset()
        return frozenset(filter(_GROUP.fullmatch, _words(token[self.groups])))


def _words(claim: object) -> frozenset[str]:
    """Give the texts of a claim: a list of them, or one with spaces between them."""
    found = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else ()
    return frozenset(word for word in found if isinstance(word, str))


def _moment(claim: object) -> int | None:
    """Read s since 1970 as ns; None if they are none. What is later than any time here is the last of them."""
    if isinstance(claim, bool) or not isinstance(claim, int | float) or not claim >= 0:
        return None
    return LATEST if claim >= LATEST // SECOND else int(claim * SECOND)
