"""What every request has to prove, as parameters of routes: `who: Reader` lets only those in who may read."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPBearer
from starlette.requests import HTTPConnection

from contracts.problems import Problem
from devices_api.access import Principal, Scope

Authenticate = Callable[[HTTPConnection], Awaitable[Principal]]
"""Tells who asks; raises Problem where nobody is proved."""

described = HTTPBearer(auto_error=False, description="An API key, or a token of the identity provider")
"""Tells the API's description that requests carry a key; `allow` is what checks it."""


def bearer(connection: HTTPConnection) -> str:
    """Give what a request carries as `Authorization: Bearer …`; empty where it carries none."""
    scheme, _, given = connection.headers.get("authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


def nobody() -> Problem:
    """Build the answer to a request that proves nothing."""
    detail = "Send an API key in the header 'Authorization: Bearer KEY'."
    return Problem(HTTPStatus.UNAUTHORIZED, "unauthorized", "Unauthorized", detail, {"WWW-Authenticate": "Bearer"})


async def identify(connection: HTTPConnection) -> Principal:
    """Tell who asks. It is asked once a request, so that a ticket is used, and a failure counted, once."""
    known = connection.scope.setdefault("state", {})
    if "identified" not in known:
        authenticate: Authenticate = connection.app.state.authenticate
        try:
            known["identified"] = await authenticate(connection)
        except Problem as problem:
            known["identified"] = problem
    found: Principal | Problem = known["identified"]
    if isinstance(found, Problem):
        raise found
    return found


def scope_missing(who: Principal, scope: Scope | None) -> Problem:
    """Build the answer to somebody who lacks `scope`, or any where it is None."""
    wanted = "any scope at all" if scope is None else f"the scope {scope}"
    detail = f"This takes {wanted}; the key has {', '.join(sorted(who.scopes)) or 'none'}."
    return Problem(HTTPStatus.FORBIDDEN, "scope-missing", "The key may not do this", detail)


def allow(scope: Scope | None) -> Callable[[HTTPConnection], Awaitable[Principal]]:
    """Build a dependency that gives who asks, if `scope` is theirs; None: if any is."""

    async def check(connection: HTTPConnection) -> Principal:
        who = await identify(connection)
        if not (who.scopes if scope is None else who.may(scope)):
            raise scope_missing(who, scope)
        return who

    return check


Somebody = Annotated[Principal, Depends(allow(None))]
Reader = Annotated[Principal, Depends(allow(Scope.READ))]
Writer = Annotated[Principal, Depends(allow(Scope.WRITE))]
Commander = Annotated[Principal, Depends(allow(Scope.COMMANDS))]
Admin = Annotated[Principal, Depends(allow(Scope.ADMIN))]


def everywhere(who: Principal) -> None:
    """Refuse somebody who sees a part of the devices only: what they ask for is about all of them."""
    if who.view is not None:
        detail = "This is about all devices, and the key is limited to groups."
        raise Problem(HTTPStatus.FORBIDDEN, "key-limited", "The key is limited to groups", detail)
