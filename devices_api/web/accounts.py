"""Routes of services' accounts on the broker."""

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi import APIRouter, Response

from contracts.problems import Problem
from devices_api.credentials.broker_rules import service_username
from devices_api.credentials.credentials import digest
from devices_api.web.access import Admin, everywhere
from devices_api.web.credentials import refusing, unstored
from devices_api.web.credentialschemas import AccountIn, AccountMade, AccountOut, AccountPage

if TYPE_CHECKING:
    from devices_api.credentials.identity import Identity
    from devices_api.repository import Repository


def routes(
    registry: "Callable[[], Repository]", identity: "Callable[[], Identity]", now: Callable[[], int]
) -> APIRouter:
    """Build the routes on `registry`."""
    router = APIRouter(prefix="/broker-accounts", tags=["credentials"])

    @router.post("", status_code=HTTPStatus.CREATED)
    async def make(who: Admin, body: AccountIn, response: Response) -> AccountMade:
        """Make an account with which a service may do on the broker what it wants. The answer has its secret, once."""
        from devices_api.credentials.accounts import Account  # noqa: PLC0415 - SQLAlchemy is imported after the start

        everywhere(who)
        issuing = identity().issuing
        secret = issuing.secret()
        account = Account(body.name, digest(secret), now())
        if await registry().accounts.get(body.name) is not None:  # before the broker is told of another secret
            raise _exists(body.name)
        with refusing():
            async with issuing.told(service_username(body.name), secret):
                await registry().accounts.add(account, who, now())
        unstored(response)
        return AccountMade.of(account, secret=secret)

    @router.get("")
    async def list_accounts(who: Admin) -> AccountPage:
        """List the accounts by name, without their secrets."""
        everywhere(who)
        return AccountPage(items=[AccountOut.of(account) for account in await registry().accounts.all()])

    @router.delete("/{name}", status_code=HTTPStatus.NO_CONTENT)
    async def remove(who: Admin, name: str) -> None:
        """Remove an account."""
        everywhere(who)
        if not await registry().accounts.remove(name, who, now()):
            raise Problem(HTTPStatus.NOT_FOUND, "unknown-account", "Unknown account", f"There is no account {name!r}.")
        await identity().issuing.removed(service_username(name))

    return router


def _exists(name: str) -> Problem:
    detail = f"There is an account {name!r} already."
    return Problem(HTTPStatus.CONFLICT, "account-exists", "This cannot be done", detail)
