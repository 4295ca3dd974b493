"""The dry run over HTTP: what a rule would have done."""

import asyncio
from collections.abc import Callable, Iterable
from http import HTTPStatus

from fastapi import APIRouter

from alerting.dryrun.history import GivenHistory, History, UnavailableError
from alerting.dryrun.run import dry_run
from alerting.judges.build import build
from alerting.rule_repository import RuleRepository
from alerting.rules.kinds import GroupSpec
from alerting.rules.rule import Rule
from alerting.rules.spec import parse_spec
from alerting.web.checks import Calendars
from alerting.web.dryrunschemas import DryRunIn, DryRunOut
from alerting.web.rules import no_rule
from contracts.devices import DeviceRecord
from contracts.problems import Problem

LONGEST_NS = 20_000_000_000
"""After so long a run is cut off."""


def routes(
    rules: RuleRepository,
    calendars: Calendars,
    devices: Callable[[], Iterable[str]],
    record: Callable[[str], DeviceRecord | None],
    stored: History | None,
    now: Callable[[], int],
) -> APIRouter:
    """Build the route; `stored` is None where no history is set up."""
    router = APIRouter(prefix="/rules", tags=["rules"])
    one_at_a_time = asyncio.Lock()

    @router.post("/dry-run")
    async def run(body: DryRunIn) -> DryRunOut:
        """Say what a rule would have done over a time: it is run over history, as it would be over what devices send.

        It begins at `start` as a new rule does, with devices as they are registered now. Each reading counts as heard
        at its own time. With `readings`, only their devices are looked at. One run at a time, of at most 20 seconds.
        """
        rule = await _rule(body, rules, calendars)
        history = stored if body.readings is None else GivenHistory(one.reading() for one in body.readings)
        if history is None:
            raise _no_history("ALERTING_DEVICES_API_URL is not set, so there is none but what is sent as `readings`.")
        if one_at_a_time.locked():
            detail = "Another dry run is under way here; ask again when it has ended."
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS, "dry-run-busy", "A dry run is under way", detail, {"Retry-After": "5"}
            )
        ids = {one.device for one in body.readings or ()} or {*devices(), *(rule.spec.selector.devices or ())}
        known = [(device, record(device)) for device in ids]
        until = now() + LONGEST_NS

        async def out_of_time() -> bool:
            await asyncio.sleep(0)  # what evaluates readings as they come has to go on meanwhile
            return now() > until

        async with one_at_a_time:
            try:
                found = await dry_run(rule, body.start, body.end, known, history, body.limits, out_of_time=out_of_time)
            except UnavailableError as error:
                raise _no_history(f"{error}.") from error
        return DryRunOut.of(found)

    return router


async def _rule(body: DryRunIn, rules: RuleRepository, calendars: Calendars) -> Rule:
    spec = body.rule
    if body.rule_id is not None:
        found = await rules.one(body.rule_id)
        if found is None or found.content is None:
            raise no_rule(body.rule_id)
        spec = parse_spec(found.content)
    if spec is None or isinstance(spec, GroupSpec):
        raise _bad_rule("a rule of kind group looks at alerts of another rule: run that one.")
    try:
        return build("dry-run", 1, spec.model_copy(update={"enabled": True}), await calendars())
    except ValueError as error:
        raise _bad_rule(f"{error}.") from error


def _bad_rule(detail: str) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "bad-rule", "The rule cannot be evaluated", detail)


def _no_history(detail: str) -> Problem:
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "no-history", "There is no history to run over", detail)
