"""Every route of the API, whatever it does: who is turned away from it."""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import httpx
from starlette.requests import HTTPConnection

from devices_api.access import Principal
from tests.unit.devices_api.conftest import Service, problem

OPEN = ("/docs", "/openapi.json", "/docs/oauth2-redirect")
"""Routes that want no key."""

HOOKS = "/broker/"
"""Routes that the broker asks, with a secret of its own."""


def asked(service: Service) -> list[tuple[str, str]]:
    """Give method and path of every route that wants a key."""
    found = []
    for included in service.app.routes:
        routes: Iterable[Any] = getattr(included, "effective_route_contexts", lambda included=included: [included])()
        for route in routes:
            if route.path not in OPEN and HOOKS not in route.path:
                path = re.sub(r"\{[^}]*\}", "1", route.path)
                found += [(method, path) for method in getattr(route, "methods", None) or ()]
    return found


async def ask(service: Service, method: str, path: str) -> httpx.Response:
    async with service.asking("") as client:
        return await client.request(method, f"http://api{path}")


async def test_without_a_key_every_route_answers_401(service: Service) -> None:
    routes = asked(service)
    assert len(routes) > 15
    for method, path in routes:
        assert problem(await ask(service, method, path)) == (HTTPStatus.UNAUTHORIZED, "unauthorized"), (method, path)


async def test_with_a_key_of_no_scopes_every_route_answers_403(service: Service) -> None:
    async def authenticate(_: HTTPConnection) -> Principal:
        return Principal("may-do-nothing", frozenset())

    service.app.state.authenticate = authenticate
    for method, path in asked(service):
        assert problem(await ask(service, method, path)) == (HTTPStatus.FORBIDDEN, "scope-missing"), (method, path)
