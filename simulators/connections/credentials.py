"""How connections log in where the registry says who may: its devices' credentials, accounts and claim keys, over HTTP.

Secrets are kept in memory only, and are in no log, no message of an error, and no address.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from simulators.connections.outlet import Line
from simulators.connections.parties import Login

_TRIES = 10
_LONGEST_WAIT_S = 10.0
_LATER = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
T = TypeVar("T")


class CredentialsError(Exception):
    """There is no credential for someone: the registry says why, or is away."""


def own(line: Line) -> bool:
    """Whether a connection is one device's alone, so that it may log in as that device.

    Others need an account, since a device may publish to no topics but its own.
    """
    return len(line.devices) == 1 and line.client_id == line.devices[0].id


class Registry:
    """devices_api, asked through `http`, whose base address ends in `/api/v1` and which sends an API key.

    Everything raises CredentialsError. `at_once` requests are made at the same time.
    """

    def __init__(
        self, http: httpx.AsyncClient, *, at_once: int = 16, rest: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._http, self._gate, self._rest = http, asyncio.Semaphore(at_once), rest
        self._made: list[str] = []

    async def logins(self, lines: Sequence[Line], account: str) -> dict[str, Login]:
        """Give a login for each line, by client id: its device's, or that of an account which is made as `account`."""
        made = await self.credentials([line.client_id for line in lines if own(line)])
        shared = [line.client_id for line in lines if not own(line)]
        return made | (dict.fromkeys(shared, await self.account(account)) if shared else {})

    async def credentials(self, devices: Iterable[str]) -> dict[str, Login]:
        """Register devices that are not, and make a token for each."""
        return await each(devices, self._credential)

    async def provisioned(self, devices: Iterable[str], claim: str) -> dict[str, Login]:
        """Have devices register themselves with a claim key."""

        async def become(device: str) -> Login:
            made = await self._ask("POST", "/provision", f"provisioning {device}", {"key": claim, "id": device})
            return Login(made["username"], made["secret"])

        return await each(devices, become)

    async def account(self, name: str) -> Login:
        """Make an account, which may do everything on the broker."""
        made = await self._ask("POST", "/broker-accounts", f"account {name}", {"name": name})
        self._made.append(f"/broker-accounts/{quote(name, safe='')}")
        return Login(made["username"], made["secret"])

    async def revoke(self) -> None:
        """End the credentials and accounts that were made here; the devices stay."""
        made, self._made = self._made, []

        async def end(path: str) -> None:
            await self._ask("DELETE", path, f"revoking {path}", None, also=HTTPStatus.NOT_FOUND)

        await each(made, end)

    async def _credential(self, device: str) -> Login:
        await self._ask("POST", "/devices", f"registering {device}", {"id": device}, also=HTTPStatus.CONFLICT)
        path = f"/devices/{quote(device, safe='')}/credentials"
        made = await self._ask("POST", path, f"a token for {device}", {"kind": "token", "name": "simulator"})
        self._made.append(f"{path}/{made['id']}")
        return Login(made["username"], made["secret"])

    async def _ask(
        self, method: str, path: str, what: str, body: dict[str, str] | None, also: HTTPStatus | None = None
    ) -> dict[str, Any]:
        """Ask again while the registry says later, and give what it answers; `also` is an answer that is as good."""
        async with self._gate:
            for _ in range(_TRIES):
                try:
                    answer = await self._http.request(method, path.lstrip("/"), json=body)
                except httpx.HTTPError as error:
                    raise CredentialsError(f"{what}: {type(error).__name__}") from None
                if answer.status_code not in _LATER:
                    break
                await self._rest(min(_LONGEST_WAIT_S, float(answer.headers.get("Retry-After", 1))))
        if answer.is_success:
            return dict(answer.json()) if answer.content else {}
        if answer.status_code == also:
            return {}
        raise CredentialsError(f"{what}: {answer.status_code} {_detail(answer)}")


async def each(names: Iterable[str], make: Callable[[str], Awaitable[T]]) -> dict[str, T]:
    """Do it for all of them. Raises the first error, once all that were begun have ended."""
    unique = list(dict.fromkeys(names))
    results = await asyncio.gather(*(make(name) for name in unique), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return {name: result for name, result in zip(unique, results, strict=True) if not isinstance(result, BaseException)}


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("detail", ""))
    except (ValueError, AttributeError):
        return ""
