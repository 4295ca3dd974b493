"""Alerts over HTTP: lists, one, and its history."""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response

from alerting.alert_repository import AlertRepository, Wanted
from alerting.life.alert import State
from alerting.notify.matching import MOST, parse_matcher
from alerting.notify.views import Views
from alerting.standing import Standing
from alerting.web.alertschemas import AlertOut, AlertPage, ChangeOut, ChangePage
from contracts.alerts import Severity
from contracts.etags import tagged
from contracts.problems import Problem
from contracts.requests import PageLimit, TimeParam, bad, read

_CURSOR = re.compile("[0-9A-Za-z_.-]{1,64}")

StateParam = Literal["pending", "firing", "resolved"]
Cursor = Annotated[str | None, Query(max_length=64, description="`next` of the page before; opaque")]
Text = Annotated[str | None, Query(max_length=256)]


def no_alert(alert_id: str) -> Problem:
    """Build the answer to a request for an alert that is not there."""
    detail = f"There is no alert {alert_id!r}; one that was pending and never fired is not kept."
    return Problem(HTTPStatus.NOT_FOUND, "no-such-alert", "No such alert", detail)


def _wanted(  # noqa: PLR0913 - one parameter a filter
    *,
    state: Annotated[list[StateParam] | None, Query(description="In this state; again for more")] = None,
    rule: Annotated[Text, Query(description="Of the rule with this id, which may be deleted by now")] = None,
    device: Annotated[Text, Query(description="Of this device")] = None,
    group: Annotated[Text, Query(description="Of this group")] = None,
    severity: Annotated[Severity | None, Query(description="Of this severity")] = None,
    acknowledged: Annotated[bool | None, Query(description="Whether somebody knows of it as it is now")] = None,
    assignee: Annotated[Text, Query(description="Whose it is")] = None,
    label: Annotated[
        list[str] | None,
        Query(
            max_length=MOST,
            description='Matcher of labels: NAME="VALUE", or !=, =~, !~; again for more',
            examples=['site="north"'],
        ),
    ] = None,
    since: Annotated[TimeParam | None, Query(description="Begun at this time or later")] = None,
    until: Annotated[TimeParam | None, Query(description="Begun before this time")] = None,
) -> Wanted:
    return Wanted(
        states=[State(one) for one in state or []],
        rule=rule,
        device=device,
        group=group,
        severity=severity,
        acknowledged=acknowledged,
        assignee=assignee,
        since=since,
        until=until,
        matchers=[read("bad-matcher", parse_matcher, one) for one in label or []],
    )


WantedAlerts = Annotated[Wanted, Depends(_wanted)]


async def found(repository: AlertRepository, alert_id: str) -> Standing:
    """Read an alert. Raises Problem if there is none."""
    standing = await repository.one(alert_id)
    if standing is None:
        raise no_alert(alert_id)
    return standing


def routes(repository: AlertRepository, views: Views, now: Callable[[], int]) -> APIRouter:
    """Build the routes."""
    router = APIRouter(prefix="/alerts", tags=["alerts"])

    @router.get("")
    async def list_(wanted: WantedAlerts, limit: PageLimit = 100, cursor: Cursor = None) -> AlertPage:
        """List alerts, the newest first.

        A page may be short, and still not be the last, where matchers compare with !=, =~ or !~.
        """
        if cursor is not None and not _CURSOR.fullmatch(cursor):
            raise bad("bad-cursor", "this cursor is none that this list has given out; ask again without one")
        at = now()
        page, behind = await repository.alerts(wanted, at, limit, cursor or "")
        return AlertPage(items=[AlertOut.of(standing, at) for standing in page], next=behind)

    @router.get("/{alert_id}")
    async def show(alert_id: str, response: Response) -> AlertOut:
        """Show an alert, with what mutes it now."""
        standing, at = await found(repository, alert_id), now()
        tagged(response, standing.revision)
        shown = AlertOut.of(standing, at)
        if standing.alert.state is State.FIRING:
            view = await views.at(at)
            shown.silenced_by = view.silenced_by(standing.alert.labels)
            shown.inhibited_by = view.inhibited_by(standing.alert.labels)
        return shown

    @router.get("/{alert_id}/history")
    async def history(alert_id: str, limit: PageLimit = 100, cursor: Cursor = None) -> ChangePage:
        """List what happened to an alert, the oldest first, with the values that caused each change."""
        if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):  # noqa: PLR2004 - more digits than fit
            raise bad("bad-cursor", "this cursor is none that this list has given out; ask again without one")
        await found(repository, alert_id)
        entries = await repository.history(alert_id, limit + 1, int(cursor or 0))
        items = [ChangeOut.of(entry) for entry in entries[:limit]]
        return ChangePage(items=items, next=str(entries[limit - 1].seq) if len(entries) > limit else None)

    return router
