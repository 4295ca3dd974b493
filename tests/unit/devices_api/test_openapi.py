"""The API's description: valid, complete and in one style, and true where that can be tried."""

import re
from collections.abc import Iterator
from typing import Any, cast

import pytest
from fastapi import FastAPI
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from contracts import logs
from devices_api.app import App
from devices_api.settings import Settings
from tests.unit.devices_api.conftest import KEY, Service

NO_KEY = {"provision"}
NAME = re.compile(r"[a-z]+(_[a-z]+)*")
TEXTS = ("application/json", "text/")  # others cannot be shown
SCHEMA = re.compile(r"[A-Z][A-Za-z]+")

Operation = dict[str, Any]


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    api = App(Settings.model_validate({"key": KEY}), logs.quiet()).api
    return cast("FastAPI", api).openapi()


def operations(described: dict[str, Any]) -> Iterator[tuple[str, str, Operation]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def bodies(described: dict[str, Any]) -> Iterator[tuple[str, str, Operation, dict[str, Any]]]:
    for path, method, operation in operations(described):
        for kind, content in operation.get("requestBody", {}).get("content", {}).items():
            if kind.startswith(TEXTS):
                yield path, method, operation, content


def test_the_description_is_valid(described: dict[str, Any]) -> None:
    validate(described)


def test_every_operation_has_a_name_of_its_own_that_is_made_alike(described: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(described)]
    assert len(set(names)) == len(names)
    assert [name for name in names if not NAME.fullmatch(name)] == []
    assert {"devices_list", "devices_show", "devices_telemetry_latest", "telemetry_query", "keys_add"} <= set(names)


def test_every_operation_says_what_it_does_and_where_it_belongs(described: dict[str, Any]) -> None:
    known = {tag["name"] for tag in described["tags"]}
    for path, method, operation in operations(described):
        where = f"{method} {path}"
        assert operation["summary"], where
        assert len(operation["summary"]) < 120, where
        assert operation["description"].endswith("."), where
        assert len(operation["tags"]) == 1, where
        assert set(operation["tags"]) <= known, where
    assert all(tag["description"] for tag in described["tags"])


def test_every_operation_but_one_takes_a_key(described: dict[str, Any]) -> None:
    for _, _, operation in operations(described):
        assert bool(operation.get("security")) == (operation["operationId"] not in NO_KEY), operation["operationId"]


def test_every_operation_tells_its_errors_and_its_success(described: dict[str, Any]) -> None:
    for path, method, operation in operations(described):
        statuses = set(operation["responses"])
        assert {"401", "403", "429", "500", "503"} <= statuses, f"{method} {path}"
        assert ("{" not in path) or "404" in statuses, f"{method} {path}"
        assert ("requestBody" not in operation) or {"400", "413", "422"} <= statuses, f"{method} {path}"
        assert len([status for status in statuses if status.startswith("2")]) in (1, 2), f"{method} {path}"


def test_every_parameter_is_described_and_no_example_of_one_is_wrong(described: dict[str, Any]) -> None:
    lacking = []
    for path, method, operation in operations(described):
        for parameter in operation.get("parameters", []):
            where, schema = f"{method} {path} {parameter['name']}", parameter["schema"]
            if not parameter.get("description") or (parameter["in"] == "path" and not exemplified(parameter)):
                lacking.append(where)
            if "example" in parameter:
                whole = schema | {"components": described["components"]}
                assert [error.message for error in OAS31Validator(whole).iter_errors(parameter["example"])] == [], where
    assert lacking == [], "see devices_api/web/examples.py"


def exemplified(parameter: dict[str, Any]) -> bool:
    return "example" in parameter or "examples" in parameter["schema"]


def test_every_body_has_an_example_that_its_schema_takes(described: dict[str, Any]) -> None:
    for path, method, _, content in bodies(described):
        assert content.get("example"), f"{method} {path}"
        schema = content["schema"] | {"components": described["components"]}
        assert [error.message for error in OAS31Validator(schema).iter_errors(content["example"])] == []


def test_no_default_is_other_than_its_schema_says(described: dict[str, Any]) -> None:
    for name, schema in described["components"]["schemas"].items():
        for key, field in schema.get("properties", {}).items():
            if "default" in field:
                whole = field | {"components": described["components"]}
                assert [error.message for error in OAS31Validator(whole).iter_errors(field["default"])] == [], (
                    name,
                    key,
                )


def test_every_schema_is_used_and_named_alike(described: dict[str, Any]) -> None:
    text = repr(described)
    for name in described["components"]["schemas"]:
        assert f"#/components/schemas/{name}'" in text, name
        assert SCHEMA.fullmatch(name), name


async def test_no_example_of_a_body_is_refused_for_its_form(service: Service) -> None:
    for path, method, operation, content in list(bodies(service.app.openapi())):
        url = re.sub(r"\{.*?\}", "3", path.removeprefix("/api/v1"))
        example = content["example"]
        sent = {"content": example} if isinstance(example, str) else {"json": example}
        answer = await service.client.request(method, url, **sent)
        assert answer.status_code < 500, (operation["operationId"], answer.text)
        assert answer.json().get("type") != "urn:sensorium:problem:invalid-request", (path, answer.text)
