"""Every route of the API, whatever it does: who is turned away from it."""

import re
from http import HTTPStatus
from typing import Any

import httpx
from starlette.requests import HTTPConnection

from devices_api.access import Principal
from devices_api.repository import Repository
from tests.unit.devices_api.conftest import BROKER_KEY, KEY, Service, StoreFile, problem

OPEN = ("/docs", "/openapi.json", "/docs/oauth2-redirect", "/api/v1/provision")
"""Routes that want no key; what a device shows to be provisioned is its claim's secret."""

HOOKS = "/broker/"
"""Routes that the broker asks, with a secret of its own."""

PARAMETER = re.compile(r"\{[^}]*\}")


def every_route(service: Service) -> list[Any]:
    """Give all routes of the API, also those of its parts."""
    return [
        route
        for included in service.app.routes
        for route in getattr(included, "effective_route_contexts", lambda included=included: [included])()
    ]


def routes(service: Service) -> list[tuple[str, str]]:
    """Give method and path of every route that wants a key; paths have parameters in braces."""
    return [
        (method, route.path)
        for route in every_route(service)
        if route.path not in OPEN and HOOKS not in route.path
        for method in getattr(route, "methods", None) or ()
    ]


def asked(service: Service) -> list[tuple[str, str]]:
    """Give the same with something in place of parameters."""
    return [(method, PARAMETER.sub("1", path)) for method, path in routes(service)]


async def ask(service: Service, method: str, path: str, key: str = "") -> httpx.Response:
    async with service.asking(key) as client:
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


async def test_the_character_0_is_refused_in_every_address(service: Service) -> None:
    tried = 0
    for method, path in routes(service):
        filled = PARAMETER.sub("1", path)
        for parameter in PARAMETER.finditer(path):
            before = PARAMETER.sub("1", path[: parameter.start()])
            after = PARAMETER.sub("1", path[parameter.end() :])
            for name in ("%00", "a%00b"):
                answer = await ask(service, method, f"{before}{name}{after}", KEY)
                assert problem(answer) == (HTTPStatus.BAD_REQUEST, "bad-text"), (method, path)
                tried += 1
        for query in ("?filter=%00", "?x%00=1", "?search=a&device=a%00b"):
            assert problem(await ask(service, method, filled + query, KEY)) == (HTTPStatus.BAD_REQUEST, "bad-text")
    assert tried > 50


async def test_other_control_characters_name_nothing(service: Service) -> None:
    for method, path in routes(service):
        if PARAMETER.search(path):
            for name in ("%01", "a%0Ab", "%ED%A0%80"):
                answer = await ask(service, method, PARAMETER.sub(name, path), KEY)
                assert answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR, (method, path, name, answer.text)
                assert answer.is_success or problem(answer)[0] >= HTTPStatus.BAD_REQUEST


async def test_what_no_database_takes_is_no_500_in_queries_and_hooks(service: Service) -> None:
    for escape in (r"\u0000", r"\ud800"):
        for text in (
            f'name eq "{escape}"',
            f'tags."{escape}" eq "x"',
            f'attributes.a eq "{escape}"',
            f'group in ("{escape}")',
        ):
            for path in ("/devices", "/telemetry/latest"):
                answer = await service.client.get(path, params={"filter": text})
                assert answer.status_code in {HTTPStatus.OK, HTTPStatus.BAD_REQUEST}, (path, text, answer.text)
    name = {"username": "a\0b/c", "clientid": "a\0b", "password": "x\0", "action": "publish", "topic": "devices/\0"}
    async with service.asking(BROKER_KEY) as broker:
        for path in ("authenticate", "authorize"):
            assert (await broker.post(f"http://api/broker/{path}", json=name)).json()["result"] == "deny"
        for path in ("user", "vhost", "resource", "topic"):
            assert (await broker.post(f"http://api/broker/rabbitmq/{path}", data=name)).text == "deny"
