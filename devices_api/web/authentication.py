"""Who asks: the key of the configuration, an API key, a ticket or a token of the identity provider; and how often."""

import ipaddress
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Protocol

from starlette.requests import HTTPConnection

from contracts.problems import Problem
from contracts.rates import Bucket
from devices_api.access import ROOT, Principal
from devices_api.keys import keys
from devices_api.keys.keyring import Keyring
from devices_api.keys.limiter import Limiter
from devices_api.metrics import Metrics
from devices_api.web.access import bearer, nobody
from devices_api.web.requestids import request_id

_OFTEN = {
    "address": "Too many requests with wrong keys have come from this address.",
    "key": "This key has asked too often.",
}


class Proves(Protocol):
    """Proves somebody by text of one kind."""

    async def prove(self, text: str) -> Principal | None:
        """Return whom it proves, if it is good now. Raises UnavailableError while that cannot be known."""


class Tokens(Proves, Protocol):
    """Proves somebody by a token of the identity provider."""

    def takes(self, text: str) -> bool:
        """Whether the text may be a token; nobody is asked."""


def too_many(wait: float, detail: str) -> Problem:
    """Build the answer to somebody who asks too often, and may again after `wait` s."""
    headers = {"Retry-After": str(max(1, math.ceil(wait)))}
    return Problem(HTTPStatus.TOO_MANY_REQUESTS, "too-many-requests", "Too many requests", detail, headers)


class Authentication:
    """Tells who asks, counts and limits them. `clock` gives s that never go back.

    The key of the configuration is compared first, and needs no database. Whoever proves somebody is limited to
    `rate`, but for that key. Wrong ones are limited to `failures`, by address: beyond it nothing is looked up for the
    address. Keys that were proved here not long ago, and tokens, still are, for others may have the same address.
    """

    def __init__(  # noqa: PLR0913 - its parts
        self,
        root: str,
        keyring: Keyring,
        tickets: Proves,
        tokens: Tokens | None,
        metrics: Metrics,
        *,
        rate: Sequence[Bucket] = (),
        failures: Sequence[Bucket] = (),
        clock: Callable[[], float],
    ) -> None:
        self._root, self._keyring, self._tickets, self._tokens = keys.digest(root), keyring, tickets, tokens
        self._metrics, self._clock = metrics, clock
        self._rate, self._failures = Limiter(rate), Limiter(failures)

    async def __call__(self, connection: HTTPConnection) -> Principal:
        """Return who asks. Raises Problem: 401 for nobody, 429 for too often."""
        text = bearer(connection)
        ticket = "" if text else connection.query_params.get("ticket", "")
        if not text and not ticket:
            raise nobody()
        if text and keys.same(text, self._root):
            return replace(ROOT, request=request_id(connection.scope))
        wait = self._failures.wait(_network(connection), self._clock())
        if wait and not self._keyring.knows(text) and not self._is_token(text):
            raise self._limited("address", wait)
        who = await self._tickets.prove(ticket) if ticket else await self._prove(text)
        if who is None:
            self.failed(connection)
            raise self._limited("address", wait) if wait else nobody()
        if wait := self._rate.take(who.key or who.name, self._clock()):
            raise self._limited("key", wait)
        return replace(who, request=request_id(connection.scope))

    def check_failures(self, connection: HTTPConnection) -> None:
        """Raise Problem, 429, while too many have failed from an address to prove who they are."""
        if wait := self._failures.wait(_network(connection), self._clock()):
            raise self._limited("address", wait)

    def failed(self, connection: HTTPConnection) -> None:
        """Note that somebody has proved nothing."""
        self._failures.take(_network(connection), self._clock())
        self._metrics.unproved.inc()

    def _is_token(self, text: str) -> bool:
        return self._tokens is not None and self._tokens.takes(text)

    def _limited(self, kind: str, wait: float) -> Problem:
        self._metrics.rate_limited.labels(kind).inc()
        return too_many(wait, _OFTEN[kind])

    async def _prove(self, text: str) -> Principal | None:
        if self._tokens is not None and self._is_token(text):
            return await self._tokens.prove(text)
        key = await self._keyring.prove(text)
        return None if key is None else key.principal()


def _network(connection: HTTPConnection) -> str:
    """Give what one caller's addresses have in common: whoever has an IPv6 address has 2^64 of them."""
    address = connection.client.host if connection.client else ""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address
