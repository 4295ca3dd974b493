"""What the API's description says beside what the routes say themselves: names of operations, errors, examples."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from contracts.problems import MEDIA_TYPE

_PREFIXES = MappingProxyType({"/api/v1": ""})
_METHODS = ("get", "put", "post", "delete", "patch")
_VERBS = {
    ("get", False): "list", ("post", False): "add", ("delete", False): "erase", ("put", False): "put",
    ("patch", False): "change", ("get", True): "show", ("put", True): "put", ("patch", True): "change",
    ("delete", True): "remove",
}  # fmt: skip


@dataclass(frozen=True)
class Wording:
    """What one API's description is completed with.

    `about` is what it is; `tags`, by name, `bodies` by operation, `files` by operation and media type, and `parameters`
    by name (what it is, and an example) are words and examples. `doing` are last words of paths that say themselves
    what is done, `one` those that are one thing and no list of things, and `many` are operations on many of what others
    do to one, which are called so. `without_key` are operations for anybody. Every operation may answer with
    `everywhere`, and those whose path ends with a text in `ending` with these too. `posting` are further parameters of
    every POST.
    """

    about: str
    tags: Mapping[str, str]
    bodies: Mapping[str, Any]
    parameters: Mapping[str, tuple[str, Any]]
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    doing: frozenset[str] = frozenset()
    one: frozenset[str] = frozenset()
    many: frozenset[tuple[str, str]] = frozenset()
    without_key: frozenset[str] = frozenset()
    everywhere: frozenset[str] = frozenset({"401", "500", "503"})
    ending: Mapping[str, str] = field(default_factory=dict)
    posting: tuple[dict[str, Any], ...] = ()


_ERRORS = {
    "400": ("BadRequest", "A parameter, or the body, cannot be read"),
    "401": ("Unauthorized", "There is no key, or one that proves nobody"),
    "403": ("Forbidden", "The key may not do this"),
    "404": ("NotFound", "There is nothing of this name, or the key may not see it"),
    "409": ("Conflict", "It does not go together with what is there already"),
    "412": ("PreconditionFailed", "It has been changed since the version that If-Match names"),
    "413": ("BodyTooLarge", "The body is too large"),
    "422": ("Invalid", "The body or a parameter is not as described; `errors` says what"),
    "429": ("TooManyRequests", "The key has asked too often; Retry-After says when to ask again"),
    "500": ("Unexpected", "A bug; the log has it"),
    "503": ("Unavailable", "Something that the answer needs is away; ask again"),
}


def namer(wording: Wording, prefixes: Mapping[str, str] = _PREFIXES) -> Callable[[APIRoute], str]:
    """Give what names an operation by its path and method: `devices_show`, `devices_telemetry_latest`.

    `prefixes` are what paths begin with, and what of that is part of the name.
    """

    def operation_id(route: APIRoute) -> str:
        method = min(route.methods or {"get"}).lower()
        path = route.path_format
        for prefix, shown in prefixes.items():
            if path.startswith(prefix):
                path = shown + path.removeprefix(prefix)
        words = [word.replace("-", "_") for word in path.split("/") if word and not word.startswith("{")]
        if (method, path) in wording.many:
            words.append("many")
        elif words[-1] in wording.one and method == "get":
            words.append("show")
        elif words[-1] not in wording.doing and words[-2:-1] not in (["import"], ["export"]):
            words.append(_VERBS[method, path.endswith("}")])
        return "_".join(words)

    return operation_id


def install(app: FastAPI, wording: Wording) -> None:
    """Complete the description of `app`, which says already that errors are problems."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(generate(), wording)  # which keeps what it gives, as app.openapi_schema
        return generate()

    app.openapi = openapi  # type: ignore[method-assign]  # this is how FastAPI wants it


def _complete(described: dict[str, Any], wording: Wording) -> None:
    _mend_defaults(described)
    used: set[str] = set()
    told: set[str] = set()
    for path, method, operation in _operations(described):
        _complete_operation(path, method, operation, wording)
        used.update(operation.get("tags", []))
        told.update(_ERRORS[status][0] for status in operation["responses"] if status in _ERRORS)
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    responses = described["components"].setdefault("responses", {})
    responses |= {name: {"description": text, "content": content} for name, text in _ERRORS.values() if name in told}
    described["tags"] = [{"name": name, "description": text} for name, text in wording.tags.items() if name in used]
    described["servers"] = [{"url": "/", "description": "Where this description was read"}]
    described["info"] |= {
        "description": wording.about,
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    }


def _complete_operation(path: str, method: str, operation: dict[str, Any], wording: Wording) -> None:
    name = operation["operationId"]
    if name in wording.without_key:
        operation["security"] = []
    if method == "post" and wording.posting:
        operation.setdefault("parameters", []).extend(wording.posting)
    operation["summary"] = _first_sentence(operation.get("description", ""))
    for parameter in operation.get("parameters", []):
        _explain(parameter, wording)
    bodies = operation.get("requestBody", {}).get("content", {})
    for kind, content in bodies.items():
        example = wording.bodies.get(name) if kind == "application/json" else wording.files.get(name, {}).get(kind)
        if example is not None:
            bodies[kind] = content | {"example": example}  # another one: what routes say is shared between them
    for status in _statuses(path, method, operation, wording):
        operation["responses"][status] = {"$ref": f"#/components/responses/{_ERRORS[status][0]}"}
    operation["responses"].pop("default", None)


def _mend_defaults(described: dict[str, Any]) -> None:
    _take_off_numbers(described)
    for name, schema in described["components"]["schemas"].items():
        if name.endswith("Patch"):  # what is left out of a patch stays: its properties have no defaults
            for field in schema["properties"].values():
                field.pop("default", None)


def _operations(described: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield path, method, methods[method]


def _statuses(path: str, method: str, operation: dict[str, Any], wording: Wording) -> list[str]:
    """Tell which errors an operation may answer with."""
    names = {parameter["name"] for parameter in operation.get("parameters", [])}
    found = set(wording.everywhere)
    if any(parameter["in"] == "query" for parameter in operation.get("parameters", [])):
        found |= {"400", "422"}
    if "{" in path:
        found |= {"404", "422"}
    if method != "get":
        found |= {"400", "409", "413", "422"}
    if "If-Match" in names:
        found |= {"400", "412"}
    found |= {status for ending, status in wording.ending.items() if path.endswith(ending)}
    return sorted(found)


def _first_sentence(text: str) -> str:
    sentence, _, _ = re.sub(r"\s+", " ", text).partition(". ")
    return sentence.removesuffix(".").partition(":")[0].partition(";")[0]


def _explain(parameter: dict[str, Any], wording: Wording) -> None:
    described, example = wording.parameters.get(parameter["name"], ("", None))
    parameter.setdefault("description", described)
    if example not in (None, "") and not _has_examples(parameter["schema"]):
        parameter["example"] = _fitting(example, parameter["schema"])


def _fitting(example: Any, schema: dict[str, Any]) -> Any:  # noqa: ANN401 - any JSON value
    """Give an example as a list where lists are taken, and as a number where numbers are."""
    kinds = {schema.get("type"), *(one.get("type") for one in schema.get("anyOf", []))}
    if "array" in kinds:
        return [example]
    return int(example) if "integer" in kinds else example


def _take_off_numbers(part: Any) -> None:  # noqa: ANN401 - any part of a JSON document
    """Take off the defaults of times, which are numbers only once they have been read."""
    if isinstance(part, dict):
        if part.get("type") == "string" and isinstance(part.get("default"), int):
            del part["default"]
        for inner in part.values():
            _take_off_numbers(inner)
    elif isinstance(part, list):
        for inner in part:
            _take_off_numbers(inner)


def _has_examples(schema: dict[str, Any]) -> bool:
    return any(key in schema for key in ("examples", "enum", "const", "$ref"))
