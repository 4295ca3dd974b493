"""Every route of the API, whatever it does: who is turned away from it."""

import re
from http import HTTPStatus
from typing import Any

import httpx
from starlette.requests import HTTPConnection

from devices_api.access import Principal
from devices_api.repository import Repository
from tests.unit.devices_api.conftest import Service, StoreFile, problem

OPEN = ("/docs", "/openapi.json", "/docs/oauth2-redirect", "/api/v1/provision")
"""Routes that want no key; what a device shows to be provisioned is its claim's secret."""

HOOKS = "/broker/"
"""Routes that the broker asks, with a secret of its own."""


def every_route(service: Service) -> list[Any]:
    """Give all routes of the API, also those of its parts."""
    return [
        route
        for included in service.app.routes
        for route in getattr(included, "effective_route_contexts", lambda included=included: [included])()
    ]


def asked(service: Service) -> list[tuple[str, str]]:
    """Give method and path of every route that wants a key."""
    found = []
    for route in every_route(service):
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


async def test_pages_of_other_origins_may_ask_only_where_that_is_set(registry: Repository, store: StoreFile) -> None:
    asked = {"Origin": "https://panel.example", "Access-Control-Request-Method": "POST"}
    panel, other = ("https://panel.example",), ("https://other.example",)
    for origins, allowed in (((), None), (other, None), (panel, panel[0])):
        service = Service(registry, store, origins=origins)
        answer = await service.client.options("/devices", headers=asked)
        assert answer.headers.get("Access-Control-Allow-Origin") == allowed
        await service.client.aclose()
        await service.timeseries.close()


async def test_an_answer_names_its_request(service: Service) -> None:
    for given, sane in (("my-request.1", True), ("a b", False), ("x" * 65, False), ("", False)):
        answer = await service.client.get("/devices/none", headers={"X-Request-Id": given})
        named = answer.headers["X-Request-Id"]
        assert answer.json()["request_id"] == named
        assert (named == given) == sane
        assert len(named) >= 12


def hides(route: Any, other: Any) -> bool:  # noqa: ANN401 - routes have no class in common
    """Whether a literal segment of `route` is also a value that a parameter of `other` may have."""
    mine, its = route.path.split("/"), other.path.split("/")
    pairs = list(zip(mine, its, strict=True)) if len(mine) == len(its) else []
    alike = all(one == two or "{" in one + two for one, two in pairs)
    methods = [set(getattr(of, "methods", None) or ["CONNECT"]) for of in (route, other)]
    return alike and any("{" in two and "{" not in one for one, two in pairs) and bool(methods[0] & methods[1])


async def test_no_route_takes_the_place_of_a_device_or_anything_else_that_is_named_like_it(service: Service) -> None:
    routes = every_route(service)
    assert len(routes) > 15
    assert [(route.path, other.path) for route in routes for other in routes if hides(route, other)] == []
    assert [route.path for route in routes if ":path}" in route.path] == []
