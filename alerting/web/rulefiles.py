"""Rules as a YAML file: all of them out, and many of them in."""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Literal

import yaml
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from alerting.rule_repository import MAX_RULES, RuleRepository, RulesWanted, StoredRule, TooManyRulesError
from alerting.rules.spec import RuleSpec, parse_spec
from alerting.web.checks import Calendars, problem_of
from alerting.web.rules import too_many
from alerting.web.ruleschemas import RuleId
from contracts.problems import Problem
from contracts.settings import said

MEDIA_TYPE = "application/yaml"
MOST_BYTES = 16 << 20
MOST_PROBLEMS = 20
DEEPEST = 16
_LONG_NUMBER = re.compile(r"[-+]?[0-9][0-9_:]{99,}")
"""YAML reads 1:2:3 as a number of base 60, for which its time is the square of the length."""
_PAGE = 1000
_AT_ONCE = 50

_ids: TypeAdapter[str] = TypeAdapter(RuleId)

Outcome = Literal["created", "changed", "unchanged"]


class ImportOut(BaseModel):
    """What became of the rules of a file, or, of a dry one, would: nothing else was changed."""

    dry: bool
    created: int
    changed: int
    unchanged: int
    rules: dict[str, Outcome] = Field(description="Those that are not as they were, by id")


class BadFileError(Exception):
    """A file cannot be taken; each of `problems` is a sentence that begins with where."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def write_rules(rules: list[StoredRule]) -> bytes:
    """Write rules as YAML, of which `read_rules` makes the same."""
    items = [{"id": rule.id} | (rule.content or {}) for rule in rules]
    text: str = yaml.dump(
        {"rules": items}, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=120, encoding=None
    )
    return text.encode()


def read_rules(data: bytes) -> dict[str, RuleSpec]:
    """Read a file of rules, by id. Raises BadFileError."""
    found = _load(data)
    items = found.get("rules") if isinstance(found, dict) else None
    if not isinstance(items, list) or len(found) != 1:
        raise BadFileError(["the file has to be a mapping with one key, rules, which has a list"])
    if len(items) > MAX_RULES:
        raise BadFileError([f"rules: there are {len(items)}; at most {MAX_RULES} can be kept"])
    specs: dict[str, RuleSpec] = {}
    problems: list[str] = []
    for number, item in enumerate(items):
        problems += _read_rule(f"rules.{number}", item, specs)
        if len(problems) >= MOST_PROBLEMS:
            break
    if problems:
        raise BadFileError(problems[:MOST_PROBLEMS])
    return specs


def _read_rule(where: str, item: object, specs: dict[str, RuleSpec]) -> list[str]:
    """Read a rule into `specs`; gives what is wrong with it."""
    if not isinstance(item, dict):
        return [f"{where}: a rule is a mapping"]
    try:
        rule_id = _ids.validate_python(item.get("id"))
    except ValidationError as error:
        return [f"{where}.id: {said(error.errors()[0]['msg'])}"]
    if rule_id in specs:
        return [f"{where}.id: {rule_id!r} is there twice"]
    try:
        specs[rule_id] = parse_spec({name: value for name, value in item.items() if name != "id"})
    except ValidationError as error:
        return [f"{'.'.join([where, *map(str, one['loc'])])}: {said(one['msg'])}" for one in error.errors()]
    return []


def _line(event: yaml.Event) -> str:
    return f"line {event.start_mark.line + 1}" if event.start_mark else "somewhere"


def _load(data: bytes) -> Any:  # noqa: ANN401 - any YAML
    try:
        depth = 0
        for event in yaml.parse(data, Loader=yaml.CSafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise BadFileError([f"{_line(event)}: aliases (*name) are not taken"])
            if isinstance(event, yaml.ScalarEvent) and (
                _LONG_NUMBER.fullmatch(event.value) if event.implicit[0] else str(event.tag).endswith(":int")
            ):
                raise BadFileError([f"{_line(event)}: a number has too many digits, or a tag"])
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise BadFileError([f"{_line(event)}: it is more than {DEEPEST} levels deep"])
        return yaml.load(data, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadFileError([" ".join(f"the file is no YAML: {error}".split())[:500]]) from error


def routes(
    repository: RuleRepository, calendars: Calendars, changed: Callable[[], None], now: Callable[[], int]
) -> APIRouter:
    """Build the routes. `changed` is called after a change."""
    router = APIRouter(prefix="/rules", tags=["rules"])
    one_at_a_time = asyncio.Lock()

    @router.get("/export", response_class=Response, responses={200: {"content": {MEDIA_TYPE: {}}}})
    async def export() -> Response:
        """Give all rules as a YAML file, in the order of their ids, which can be imported again."""
        rules: list[StoredRule] = []
        while page := await repository.rules(RulesWanted(), _PAGE, rules[-1].id if rules else ""):
            rules += page
        data = await asyncio.to_thread(write_rules, rules)
        headers = {"Content-Disposition": 'attachment; filename="rules.yaml"'}
        return Response(data, media_type=MEDIA_TYPE, headers=headers)

    @router.post(
        "/import",
        openapi_extra={"requestBody": {"required": True, "content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}},
    )
    async def import_(
        request: Request,
        *,
        dry: Annotated[bool, Query(description="Only say what would be done")] = False,
    ) -> ImportOut:
        """Make or replace all rules of a YAML file, as export gives it: all of them, or none where one is wrong.

        Rules are told apart by their ids; those that the file does not name stay as they are.
        """
        data = await request.body()
        async with one_at_a_time:  # a large file takes a second of a core
            try:
                specs = await asyncio.to_thread(read_rules, data)
                await _check_all(specs, calendars)
            except BadFileError as error:
                raise Problem(
                    HTTPStatus.UNPROCESSABLE_ENTITY, "bad-rules-file", "The file cannot be taken", f"{error}."
                ) from error
            try:
                outcomes = await repository.apply(specs, now(), dry=dry)
            except TooManyRulesError as error:
                raise too_many() from error
        if not dry:
            changed()
        return _told(outcomes, dry=dry)

    return router


async def _check_all(specs: Mapping[str, RuleSpec], calendars: Calendars) -> None:
    known = await calendars()

    def problems() -> Iterator[str | None]:
        for number, (rule_id, spec) in enumerate(specs.items()):
            problem = problem_of(rule_id, spec, known)
            yield None if problem is None else f"rules.{number}: {problem}"

    found: list[str] = []
    for number, problem in enumerate(problems(), 1):
        if problem is not None:
            found.append(problem)
        if len(found) >= MOST_PROBLEMS:
            break
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
    if found:
        raise BadFileError(found)


def _told(outcomes: Mapping[str, str], *, dry: bool) -> ImportOut:
    counts = {"created": 0, "changed": 0, "unchanged": 0}
    for outcome in outcomes.values():
        counts[outcome] += 1
    others = {rule_id: outcome for rule_id, outcome in outcomes.items() if outcome != "unchanged"}
    return ImportOut.model_validate({"dry": dry, "rules": others} | counts)
