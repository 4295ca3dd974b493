"""Tokens of the identity provider: signed by one of its keys, for us, and in force."""

import asyncio
import importlib
import re
import sys
from collections.abc import Callable
from typing import Any

from devices_api.access import Principal
from devices_api.keys.oidc import Claims
from devices_api.keys.oidc_keys import KeySet

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""None in which who can check a signature could make one."""

LONGEST = 16 << 10
"""Characters of the longest text that is looked at as a token."""

_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_LIBRARY = "jwt"
_HERE: Any = {
    # Times are checked by `Claims`, against the clock that is given.
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "require": ["exp", "iss", "aud", "sub"],
    "enforce_minimum_key_length": True,
}


class OidcTokens:
    """Proves who has a token of `issuer` for `audience`. `now` gives ns since 1970 UTC."""

    def __init__(self, issuer: str, audience: str, keys: KeySet, claims: Claims, *, now: Callable[[], int]) -> None:
        self._issuer, self._audience, self._keys, self._claims, self._now = issuer, audience, keys, claims, now

    def takes(self, text: str) -> bool:
        """Whether the text may be a token; nobody is asked."""
        return len(text) <= LONGEST and _SHAPE.fullmatch(text) is not None

    async def prove(self, text: str) -> Principal | None:
        """Return whom a token proves. Raises UnavailableError while the provider's keys are not known."""
        if _LIBRARY not in sys.modules:  # it takes long to import, and only those need it who have a provider
            await asyncio.to_thread(importlib.import_module, _LIBRARY)
        import jwt  # noqa: PLC0415 - see above

        try:
            header = jwt.get_unverified_header(text)
            algorithm = header["alg"]
            if algorithm not in ALGORITHMS:
                return None
            key = await self._keys.get(header.get("kid"))
            if key is None or key.get("alg", algorithm) != algorithm:
                return None
            token = jwt.decode(
                text,
                jwt.PyJWK(dict(key), algorithm),
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._issuer,
                options=_HERE,
            )
        except (jwt.PyJWTError, KeyError, ValueError):
            return None
        return self._claims.read(token, self._now())
