"""Calls a webhook: at an address that was checked, without redirects, within a time."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from enum import StrEnum

import httpx

from alerting.notify.addresses import is_public

Resolve = Callable[[str, int], Awaitable[list[str]]]


class Result(StrEnum):
    """What came of a call."""

    DELIVERED = "delivered"
    FAILED = "failed"
    REFUSED = "refused"
    """The host's address is none that webhooks may go to."""


async def resolve(host: str, port: int) -> list[str]:
    """Look up the addresses of `host`. Raises OSError if there are none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Webhook:
    """A client for all receivers.

    The host is looked up once a call, the addresses are checked, and the call goes to the address that was checked:
    a name that changes its address in between gains nothing. TLS still verifies the host's name.
    """

    def __init__(self, timeout: float, *, allow_private: bool, look_up: Resolve = resolve) -> None:
        self._timeout, self._allow_private, self._resolve = timeout, allow_private, look_up
        self._client: httpx.AsyncClient | None = None

    async def post(self, url: str, body: bytes, tries: int = 0) -> tuple[Result, str]:
        """Deliver `body`. Returns the result, and in words without the URL what was wrong.

        `tries` is how often it was tried before: where a host has several addresses, each has its turn.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._post(httpx.URL(url), body, tries)
        except TimeoutError:
            return Result.FAILED, f"no answer within {self._timeout:g} s"
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            return Result.FAILED, type(error).__name__  # its text may hold the URL

    async def _post(self, url: httpx.URL, body: bytes, tries: int) -> tuple[Result, str]:
        addresses = await self._resolve(url.raw_host.decode(), url.port or (443 if url.scheme == "https" else 80))
        if not self._allow_private and not all(is_public(address) for address in addresses):
            return Result.REFUSED, "its address is not public (ALERTING_ALLOW_PRIVATE_WEBHOOKS=true allows it)"
        if self._client is None:
            self._client = httpx.AsyncClient(
                trust_env=False,  # a proxy from the environment would look the name up again
                follow_redirects=False,
                timeout=self._timeout,
                # Connections are pooled by address: one that was verified for another name must not be used again.
                limits=httpx.Limits(max_keepalive_connections=0),
            )
        async with self._client.stream(
            "POST",
            url.copy_with(host=addresses[tries % len(addresses)]),
            content=body,
            headers={"Host": url.netloc.decode(), "Content-Type": "application/json", "User-Agent": "sensorium"},
            extensions={"sni_hostname": url.raw_host.decode()},
        ) as answer:  # the body of the answer is not read: it may be of any size
            if answer.is_success:
                return Result.DELIVERED, ""
            return Result.FAILED, f"status {answer.status_code}"

    async def close(self) -> None:
        """Close the client."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None
