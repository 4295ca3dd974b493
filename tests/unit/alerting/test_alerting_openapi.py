"""The API's description: valid, complete and in one style, by the rules that the devices API's is held to."""

import re
from typing import Any

import pytest

from alerting.app import App
from alerting.settings import Settings
from contracts import logs
from tests.unit.alerting.web_service import Web
from tests.unit.devices_api.test_openapi import (
    NAME,
    bodies,
    operations,
    test_every_body_has_an_example_that_its_schema_takes,
    test_every_operation_says_what_it_does_and_where_it_belongs,
    test_every_parameter_is_described_and_no_example_of_one_is_wrong,
    test_every_schema_is_used_and_named_alike,
    test_no_default_is_other_than_its_schema_says,
    test_the_description_is_valid,
)

__all__ = [
    "test_every_body_has_an_example_that_its_schema_takes",
    "test_every_operation_says_what_it_does_and_where_it_belongs",
    "test_every_parameter_is_described_and_no_example_of_one_is_wrong",
    "test_every_schema_is_used_and_named_alike",
    "test_no_default_is_other_than_its_schema_says",
    "test_the_description_is_valid",
]


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return App(Settings.model_validate({"key": "a-key-for-these-tests"}), logs.quiet()).api.openapi()


def test_every_operation_has_a_name_of_its_own(described: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(described)]
    assert len(set(names)) == len(names)
    assert [name for name in names if not NAME.fullmatch(name)] == []
    assert {"rules_add", "alerts_acknowledge_many", "routing_show", "alertmanager_alerts_list"} <= set(names)


def test_every_operation_takes_a_key_and_tells_its_errors(described: dict[str, Any]) -> None:
    for path, method, operation in operations(described):
        statuses = set(operation["responses"])
        assert operation.get("security"), f"{method} {path}"
        assert {"401", "500", "503"} <= statuses, f"{method} {path}"
        assert ("{" not in path) or "404" in statuses, f"{method} {path}"
        assert ("requestBody" not in operation) or {"400", "413", "422"} <= statuses, f"{method} {path}"


async def test_no_example_of_a_body_is_refused_for_its_form(web: Web, described: dict[str, Any]) -> None:
    for path, method, operation, content in bodies(described):
        url = re.sub(r"\{.*?\}", "3", path)
        answer = await web.client.request(method, url, json=content["example"])
        assert answer.status_code != 500, (operation["operationId"], answer.text)
        kind = answer.json().get("type") if answer.content else None
        assert kind not in ("urn:sensorium:problem:invalid-request", "urn:sensorium:problem:bad-time"), answer.text
