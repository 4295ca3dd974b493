"""The keys with which the identity provider signs: read when they are needed, and kept while it is away."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec

from contracts.logs import Log
from devices_api.errors import UnavailableError
from devices_api.metrics import Metrics

FRESH_S = 600.0
"""Keys that were read longer ago are read again, when one is asked for; nobody waits for that."""

KEPT_S = 86_400.0
"""For so long keys are good while they cannot be read again."""

AGAIN_S = 30.0
"""How often they are read at most, whatever keys are asked for."""

RETRY_S = 2.0
"""The same, while there are none."""

TIMEOUT_S = 5.0
MOST_BYTES = 256 << 10

Jwk = Mapping[str, Any]
"""A key as RFC 7517 writes it."""

_SIGNING = frozenset({"RSA", "EC", "OKP"})


class _Set(msgspec.Struct):
    keys: list[dict[str, Any]]


class KeySet:
    """The keys at `source`, a URL or a file. `clock` gives s that never go back.

    All who need keys that are being read wait for the same reading. A reading replaces all keys; one that fails, or
    finds none that sign, leaves them as they are.
    """

    def __init__(self, source: str, metrics: Metrics, log: Log, clock: Callable[[], float]) -> None:
        self._source, self._metrics, self._log, self._clock = source, metrics, log, clock
        self._keys: dict[str | None, Jwk] = {}
        self._read_at = self._tried_at = float("-inf")
        self._failed = False
        self._reading: asyncio.Task[None] | None = None

    async def get(self, kid: str | None) -> Jwk | None:
        """Return the key with an id, or without one the only key; None if the provider has none such.

        Raises UnavailableError where that cannot be known.
        """
        if self._age() >= KEPT_S:
            await self._renew(RETRY_S)
            if self._age() >= KEPT_S:
                raise UnavailableError("identity provider")
        elif self._age() >= FRESH_S:
            self._begin(AGAIN_S)
        if (found := self._find(kid)) is not None:
            return found
        await self._renew(AGAIN_S)
        found = self._find(kid)
        if found is None and self._failed:
            raise UnavailableError("identity provider")
        return found

    def _age(self) -> float:
        return self._clock() - self._read_at

    def _find(self, kid: str | None) -> Jwk | None:
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid)

    async def _renew(self, at_most_every: float) -> None:
        self._begin(at_most_every)
        if self._reading is not None:
            await asyncio.shield(self._reading)

    def _begin(self, at_most_every: float) -> None:
        if self._reading is None and self._clock() - self._tried_at >= at_most_every:
            self._tried_at = self._clock()
            self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            self._keys = _signing(await self._bytes())
            self._read_at, self._failed = self._clock(), False
            self._metrics.oidc_readings.labels("read").inc()
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, RecursionError) as error:
            self._failed = True
            self._metrics.oidc_readings.labels("failed").inc()
            reason = str(error) or type(error).__name__
            self._log.warning("keys of the identity provider not read", source=self._source, error=reason)
        finally:
            self._reading = None

    async def _bytes(self) -> bytes:
        async with asyncio.timeout(TIMEOUT_S):
            if self._source.startswith(("https://", "http://")):
                return await _fetch(self._source)
            return await asyncio.to_thread(_read_file, Path(self._source))


async def _fetch(url: str) -> bytes:
    # Not compressed: a few bytes could become many.
    headers = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}
    async with httpx.AsyncClient(timeout=TIMEOUT_S) as client, client.stream("GET", url, headers=headers) as answer:
        if answer.status_code != httpx.codes.OK:
            raise ValueError(f"the answer was {answer.status_code}")
        read = bytearray()
        async for part in answer.aiter_raw():
            read += part
            _bounded(len(read))
        return bytes(read)


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        read = file.read(MOST_BYTES + 1)
    _bounded(len(read))
    return read


def _bounded(size: int) -> None:
    if size > MOST_BYTES:
        raise ValueError(f"there are more than {MOST_BYTES} bytes")


def _signing(read: bytes) -> dict[str | None, Jwk]:
    """Give the keys that are for signatures that anybody can check, by id."""
    found: dict[str | None, Jwk] = {}
    for key in msgspec.json.decode(read, type=_Set).keys:
        kid = key.get("kid")
        if key.get("kty") in _SIGNING and key.get("use", "sig") == "sig" and isinstance(kid, str | None):
            found.setdefault(kid, key)
    if not found:
        raise ValueError("it holds no key that signs")
    return found
