"""What operators do to alerts, over HTTP."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from alerting import acts
from alerting.acts import Act
from alerting.alert_repository import AlertRepository, Wanted
from alerting.life.alert import State
from alerting.notify.matching import Matchers, compiled
from alerting.standing import Standing
from alerting.web.alerts import found
from alerting.web.alertschemas import AlertOut
from contracts.alerts import Severity
from contracts.etags import IfMatch, stale, tagged
from contracts.problems import Problem
from contracts.requests import TimeParam, bad, storable
from contracts.versions import Match, StaleError

MOST_AT_ONCE = 1000

Who = Annotated[str, Field(min_length=1, max_length=256, description="Who does it"), AfterValidator(storable)]
Comment = Annotated[str, Field(max_length=4096), AfterValidator(storable)]
Name = Annotated[str, Field(max_length=256), AfterValidator(storable)]


class Done(BaseModel):
    """Who does something, and why."""

    model_config = ConfigDict(extra="forbid")

    by: Who
    comment: Comment = ""


class Acknowledging(Done):
    """Somebody knows of it, until a time; until it ends or escalates where none is given."""

    until: TimeParam | None = None


class Shelving(Done):
    """Nobody is to be told of it until a time."""

    until: TimeParam


class Assigning(Done):
    """Whose it is; null: nobody's."""

    to: Annotated[str, Field(min_length=1, max_length=256), AfterValidator(storable)] | None


class Which(BaseModel):
    """Firing alerts for which all holds that is given; at least one has to be."""

    model_config = ConfigDict(extra="forbid")

    rule: Name | None = None
    device: Name | None = None
    group: Name | None = None
    severity: Severity | None = None
    assignee: Name | None = None
    matchers: Matchers = []


class AcknowledgingMany(Acknowledging):
    """Somebody knows of all these."""

    which: Which


class ManyDone(BaseModel):
    """How many alerts it was done to; `more`: there are such alerts still, ask again."""

    done: int
    more: bool


class Doing:
    """Does one thing to one alert, as it was read."""

    def __init__(self, repository: AlertRepository, said: Callable[[], None], now: Callable[[], int]) -> None:
        self.repository, self.said, self.now = repository, said, now

    async def __call__(
        self, alert_id: str, match: Match, response: Response, make: Callable[[Standing], Act | None]
    ) -> AlertOut:
        """Do what `make` gives for the alert, or nothing. Raises Problem."""
        standing = await found(self.repository, alert_id)
        if match is not None and standing.revision not in match:
            raise stale(StaleError(standing.revision))
        act = make(standing)
        if act is not None:
            after = None
            if standing.alert.state in act.states:
                after = await self.repository.act(standing, act, self.now())
            if after is None:
                raise await _refused(self.repository, alert_id, act)
            if act.told:
                self.said()
            standing = after
        tagged(response, standing.revision)
        return AlertOut.of(standing, self.now())


def routes(
    repository: AlertRepository, changed: Callable[[], None], said: Callable[[], None], now: Callable[[], int]
) -> APIRouter:
    """Build the routes. `changed` is called when an end was asked for, `said` when people are to be told."""
    router = APIRouter(prefix="/alerts", tags=["alerts"])
    do = Doing(repository, said, now)
    _add_acknowledging(router, do)
    _add_shelving(router, do)

    @router.post("/{alert_id}/assign")
    async def assign(alert_id: str, body: Assigning, response: Response, match: IfMatch) -> AlertOut:
        """Make an open alert somebody's, or nobody's."""
        return await do(alert_id, match, response, lambda _: acts.assign(body.to, body.by, body.comment))

    @router.post("/{alert_id}/resolve", status_code=HTTPStatus.ACCEPTED)
    async def resolve(alert_id: str, body: Done, response: Response, match: IfMatch) -> AlertOut:
        """Ask for the end of an open alert, which follows; while values stay bad, the next reading begins another."""
        answer = await do(alert_id, match, response, lambda _: acts.ask_end(body.by, body.comment))
        changed()
        return answer

    return router


def _add_acknowledging(router: APIRouter, do: Doing) -> None:
    @router.post("/acknowledge")
    async def acknowledge_many(body: AcknowledgingMany) -> ManyDone:
        """Acknowledge many firing alerts that nobody has: up to 1000 of those that are meant."""
        at, until = do.now(), _later(body.until, do.now())
        wanted = _meant(body.which)
        standings, behind = await do.repository.alerts(wanted, at, MOST_AT_ONCE)
        pairs = [(one, acts.acknowledge(body.by, body.comment, until, one.alert.level, at)) for one in standings]
        done = await do.repository.act_all(pairs, at)
        if done:
            do.said()
        return ManyDone(done=len(done), more=behind is not None or len(done) < len(pairs))

    @router.post("/{alert_id}/acknowledge")
    async def acknowledge(alert_id: str, body: Acknowledging, response: Response, match: IfMatch) -> AlertOut:
        """Say that somebody knows of a firing alert: escalation stops, and it is not told again.

        It holds until its time, until the alert ends, or until it escalates to a higher level.
        """
        until = _later(body.until, do.now())
        return await do(
            alert_id,
            match,
            response,
            lambda one: acts.acknowledge(body.by, body.comment, until, one.alert.level, do.now()),
        )

    @router.post("/{alert_id}/unacknowledge")
    async def unacknowledge(alert_id: str, body: Done, response: Response, match: IfMatch) -> AlertOut:
        """Take an acknowledgement back."""
        return await do(
            alert_id,
            match,
            response,
            lambda one: acts.unacknowledge(body.by, body.comment) if one.acknowledgement else None,
        )


def _add_shelving(router: APIRouter, do: Doing) -> None:
    @router.post("/{alert_id}/shelve")
    async def shelve(alert_id: str, body: Shelving, response: Response, match: IfMatch) -> AlertOut:
        """Put an open alert on the shelf: nobody is told of it until a time."""
        until = _later(body.until, do.now()) or 0
        return await do(alert_id, match, response, lambda _: acts.shelve(body.by, body.comment, until, do.now()))

    @router.post("/{alert_id}/unshelve")
    async def unshelve(alert_id: str, body: Done, response: Response, match: IfMatch) -> AlertOut:
        """Take an alert off the shelf."""
        return await do(
            alert_id, match, response, lambda one: acts.unshelve(body.by, body.comment) if one.shelving else None
        )


def _later(until: int | None, now: int) -> int | None:
    if until is not None and until <= now:
        raise bad("bad-time", "until is over already")
    return until


def _meant(which: Which) -> Wanted:
    given = which.model_dump(exclude_none=True, exclude={"matchers"})
    if not given and not which.matchers:
        raise bad(
            "nothing-named", "name which alerts are meant: one of rule, device, group, severity, assignee, matchers"
        )
    return Wanted(states=[State.FIRING], acknowledged=False, matchers=compiled(which.matchers), **given)


async def _refused(repository: AlertRepository, alert_id: str, act: Act) -> Problem:
    """Say why something could not be done to an alert."""
    standing = await found(repository, alert_id)
    if standing.alert.state not in act.states:
        states = " or ".join(act.states)
        detail = f"The alert is {standing.alert.state}; this is for one that is {states}."
        return Problem(HTTPStatus.CONFLICT, "wrong-state", "The alert is in another state", detail)
    detail = "Somebody else has changed the alert at the same time. Read it again, and decide anew."
    return Problem(HTTPStatus.CONFLICT, "changed-meanwhile", "It has been changed meanwhile", detail)
