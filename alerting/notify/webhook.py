"""Calls an HTTP receiver: at an address that was checked, without redirects, within a time."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping

import httpx

from alerting.notify.addresses import is_public
from alerting.notify.outcome import Outcome, Result, of_status

Resolve = Callable[[str, int], Awaitable[list[str]]]

NOT_PUBLIC = Outcome(Result.REFUSED, "its address is not public (ALERTING_ALLOW_PRIVATE_WEBHOOKS=true allows it)")


async def resolve(host: str, port: int) -> list[str]:
    """Look up the addresses of `host`. Raises OSError if there are none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Addresses:
    """Looks hosts up, and gives only addresses that receivers may have."""

    def __init__(self, *, allow_private: bool, look_up: Resolve = resolve) -> None:
        self._allow_private, self._resolve = allow_private, look_up

    async def of(self, host: str, port: int) -> list[str] | None:
        """Give the addresses of `host`; None if one of them is not allowed. Raises OSError or UnicodeError."""
        addresses = await self._resolve(host, port)
        if not self._allow_private and not all(is_public(address) for address in addresses):
            return None
        return addresses


class Webhook:
    """A client for all receivers.

    The host is looked up once a call, the addresses are checked, and the call goes to the address that was checked:
    a name that changes its address in between gains nothing. TLS still verifies the host's name.
    """

    def __init__(self, timeout: float, addresses: Addresses) -> None:
        self._timeout, self._addresses = timeout, addresses
        self._client: httpx.AsyncClient | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], tries: int = 0) -> Outcome:
        """Deliver `body`.

        `tries` is how often it was tried before: where a host has several addresses, each has its turn.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._post(httpx.URL(url), body, headers, tries)
        except TimeoutError:
            return Outcome(Result.FAILED, f"no answer within {self._timeout:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            return Outcome(Result.FAILED, type(error).__name__)  # its text may hold the URL

    async def _post(self, url: httpx.URL, body: bytes, headers: Mapping[str, str], tries: int) -> Outcome:
        port = url.port or (443 if url.scheme == "https" else 80)
        addresses = await self._addresses.of(url.raw_host.decode(), port)
        if addresses is None:
            return NOT_PUBLIC
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
            headers={
                **headers,
                "Host": url.netloc.decode(),
                "Content-Type": "application/json",
                "User-Agent": "sensorium",
            },
            extensions={"sni_hostname": url.raw_host.decode()},
        ) as answer:  # the body of the answer is not read: it may be of any size
            return of_status(answer.status_code, answer.headers.get("Retry-After", ""))

    async def close(self) -> None:
        """Close the client."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None
