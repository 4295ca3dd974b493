"""Rules over HTTP: made, read, replaced, switched, deleted, and their versions."""

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response

from alerting.rule_repository import MAX_RULES, RuleRepository, RulesWanted, StoredRule, TooManyRulesError
from alerting.rules.spec import RuleSpec, parse_spec
from alerting.web.checks import Calendars, refuse_bad
from alerting.web.ruleschemas import RuleBody, RuleId, RuleOut, RulePage, RuleVersionOut, RuleVersionPage
from contracts.etags import IfMatch, stale, tagged
from contracts.problems import Problem
from contracts.requests import PageLimit, bad
from contracts.versions import Match, StaleError

Kind = Literal["threshold", "condition", "rate", "absence", "repeating", "window", "deviation", "group"]
Cursor = Annotated[str | None, Query(max_length=64, description="`next` of the page before; opaque")]
RulePath = Annotated[RuleId, Path(description="Id of a rule")]


def no_rule(rule_id: str) -> Problem:
    """Build the answer to a request for a rule that is not there."""
    return Problem(HTTPStatus.NOT_FOUND, "no-such-rule", "No such rule", f"There is no rule {rule_id!r}.")


def too_many() -> Problem:
    """Build the answer to one rule too many."""
    detail = f"There may be {MAX_RULES} rules; delete some first."
    return Problem(HTTPStatus.CONFLICT, "too-many-rules", "Too many rules", detail)


def routes(
    repository: RuleRepository,
    calendars: Calendars,
    changed: Callable[[], None],
    now: Callable[[], int],
    new_id: Callable[[], str],
) -> APIRouter:
    """Build the routes. `changed` is called after each change."""
    router = APIRouter(prefix="/rules", tags=["rules"])

    async def put(rule_id: str, spec: RuleSpec, match: Match, response: Response) -> tuple[StoredRule, bool]:
        await refuse_bad(rule_id, spec, calendars)
        try:
            done = await repository.put(rule_id, spec, now(), match)
        except TooManyRulesError as error:
            raise too_many() from error
        except StaleError as error:
            raise stale(error) from error
        changed()
        tagged(response, done[0].version)
        return done

    _add_changes(router, put, new_id, repository)
    _add_switches(router, put, repository)

    @router.delete("/{rule_id}", status_code=HTTPStatus.NO_CONTENT)
    async def delete(rule_id: RulePath, match: IfMatch) -> None:
        """Delete a rule; its open alerts end."""
        try:
            if not await repository.delete(rule_id, now(), match):
                raise no_rule(rule_id)
        except StaleError as error:
            raise stale(error) from error
        changed()

    _add_reads(router, repository)
    return router


Put = Callable[[str, RuleSpec, Match, Response], Awaitable[tuple[StoredRule, bool]]]


def _add_changes(router: APIRouter, put: Put, new_id: Callable[[], str], repository: RuleRepository) -> None:
    @router.post("", status_code=HTTPStatus.CREATED)
    async def add(body: RuleBody, response: Response) -> RuleOut:
        """Make a rule. It evaluates from the next reading on."""
        rule, _ = await put(new_id(), body, None, response)
        response.headers["Location"] = f"/api/v1/rules/{rule.id}"
        return RuleOut.of(rule)

    @router.put("/{rule_id}", responses={201: {"model": RuleOut, "description": "It was made"}})
    async def replace(rule_id: RulePath, body: RuleBody, response: Response, match: IfMatch) -> RuleOut:
        """Replace a rule, or make it under an id of one's own.

        What changes something raises its version; an old version is restored by sending what it was. Open alerts live
        on where the rule still looks at their device in the same way.
        """
        rule, was_there = await put(rule_id, body, match, response)
        if not was_there:
            response.status_code = HTTPStatus.CREATED
            response.headers["Location"] = f"/api/v1/rules/{rule.id}"
        return (await shown(repository, [rule]))[0]


def _add_switches(router: APIRouter, put: Put, repository: RuleRepository) -> None:
    async def switch(rule_id: str, match: Match, response: Response, *, enabled: bool) -> RuleOut:
        found = await repository.one(rule_id)
        if found is None:
            raise no_rule(rule_id)
        if match is not None and found.version not in match:
            raise stale(StaleError(found.version))
        spec = parse_spec((found.content or {}) | {"enabled": enabled})
        # Only at the version that was read, so that nothing that was changed meanwhile is put back.
        rule, _ = await put(rule_id, spec, {found.version}, response)
        return (await shown(repository, [rule]))[0]

    @router.post("/{rule_id}/enable")
    async def enable(rule_id: RulePath, response: Response, match: IfMatch) -> RuleOut:
        """Let a rule evaluate."""
        return await switch(rule_id, match, response, enabled=True)

    @router.post("/{rule_id}/disable")
    async def disable(rule_id: RulePath, response: Response, match: IfMatch) -> RuleOut:
        """Let a rule evaluate no more; its open alerts end."""
        return await switch(rule_id, match, response, enabled=False)


def _add_reads(router: APIRouter, repository: RuleRepository) -> None:
    @router.get("")
    async def list_(
        *,
        kind: Annotated[Kind | None, Query(description="Of this kind")] = None,
        enabled: Annotated[bool | None, Query(description="Whether they evaluate")] = None,
        name: Annotated[str | None, Query(min_length=1, max_length=256, description="Part of the name")] = None,
        in_error: Annotated[bool | None, Query(description="Whether something is wrong with them")] = None,
        limit: PageLimit = 100,
        cursor: Cursor = None,
    ) -> RulePage:
        """List rules in the order of their ids."""
        wanted = RulesWanted(kind=kind, enabled=enabled, name=name, in_error=in_error)
        found = await repository.rules(wanted, limit + 1, cursor or "")
        items = await shown(repository, found[:limit])
        return RulePage(items=items, next=items[-1].id if len(found) > limit else None)

    @router.get("/{rule_id}")
    async def show(rule_id: RulePath, response: Response) -> RuleOut:
        """Show a rule, with what is wrong with it and how many of its alerts are open."""
        found = await repository.one(rule_id)
        if found is None:
            raise no_rule(rule_id)
        tagged(response, found.version)
        return (await shown(repository, [found]))[0]

    @router.get("/{rule_id}/versions")
    async def versions(rule_id: RulePath, limit: PageLimit = 100, cursor: Cursor = None) -> RuleVersionPage:
        """List every version that a rule had, the newest first; also of one that is deleted."""
        if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):  # noqa: PLR2004 - more digits than a version has
            raise bad("bad-cursor", "this cursor is none that this list has given out; ask again without one")
        found = await repository.versions(rule_id, limit + 1, None if cursor is None else int(cursor))
        if not found and cursor is None:
            raise no_rule(rule_id)
        items = [RuleVersionOut.of(version) for version in found[:limit]]
        return RuleVersionPage(items=items, next=str(items[-1].version) if len(found) > limit else None)


async def shown(repository: RuleRepository, rules: Sequence[StoredRule]) -> list[RuleOut]:
    """Show rules with their troubles and open alerts."""
    if not rules:
        return []
    troubles = await repository.troubles(rules)
    counts = await repository.open_alerts([rule.id for rule in rules])
    return [RuleOut.of(rule, troubles.get(rule.id), counts.get(rule.id)) for rule in rules]
