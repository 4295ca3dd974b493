"""The reading side of Alertmanager's API v2: alerts as `amtool` and Grafana read them."""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Annotated, Literal

import yaml
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from alerting.alert_repository import AlertRepository, Wanted
from alerting.life.alert import State
from alerting.notify.bodies import annotations_of, fingerprint, generator_url
from alerting.notify.document import Kind
from alerting.notify.matching import MOST, Matcher, parse_matcher
from alerting.notify.routing import BUILT_IN
from alerting.notify.views import View, Views, receivers_of
from alerting.standing import Standing
from contracts.problems import Problem
from contracts.requests import bad, read
from contracts.times import format_time

MOST_ALERTS = 50_000
"""So many firing alerts one answer may have."""
_PAGE = 1000
_LASTS = 300 * 10**9
"""For so long in ns what is read is said to be true."""
_VERSION = "sensorium"


class Receiver(BaseModel):
    """Somebody who is told."""

    name: str


class AlertStatus(BaseModel):
    """Whether people are told of an alert; a shelved one is suppressed, too."""

    state: Literal["unprocessed", "active", "suppressed"]
    silencedBy: list[str]
    inhibitedBy: list[str]
    mutedBy: list[str]


class GettableAlert(BaseModel):
    """A firing alert in Alertmanager's shape; `endsAt` is when it would end, were nothing more heard of it."""

    labels: dict[str, str]
    annotations: dict[str, str]
    startsAt: str
    endsAt: str
    updatedAt: str
    generatorURL: str
    fingerprint: str
    receivers: list[Receiver]
    status: AlertStatus


class AlertGroup(BaseModel):
    """Alerts that are told together."""

    labels: dict[str, str]
    receiver: Receiver
    alerts: list[GettableAlert]


class Cluster(BaseModel):
    """Replicas share a database and not a gossip, so this is always disabled."""

    status: Literal["disabled"] = "disabled"
    peers: list[str] = []


class VersionInfo(BaseModel):
    """What answers."""

    version: str = _VERSION
    revision: str = ""
    branch: str = ""
    buildUser: str = ""
    buildDate: str = ""
    goVersion: str = ""


class Config(BaseModel):
    """The routing document as YAML."""

    original: str


class AlertmanagerStatus(BaseModel):
    """What `amtool config show` and data sources ask for."""

    cluster: Cluster
    versionInfo: VersionInfo
    config: Config
    uptime: str


class _Asked:
    """Which alerts are asked for."""

    def __init__(
        self,
        *,
        active: Annotated[bool, Query(description="Those that people are told of")] = True,
        silenced: Annotated[bool, Query(description="Those that are silenced or shelved")] = True,
        inhibited: Annotated[bool, Query(description="Those that others inhibit")] = True,
        unprocessed: Annotated[bool, Query(description="Has no effect: there are none")] = True,
        muted: Annotated[bool, Query(description="Has no effect")] = True,
        matcher: Annotated[
            list[str] | None,
            Query(alias="filter", max_length=MOST, description="Matcher of labels", examples=['alertname="too hot"']),
        ] = None,
        receiver: Annotated[str | None, Query(max_length=256, description="Pattern of a whole receiver's name")] = None,
    ) -> None:
        del unprocessed, muted
        self.active, self.silenced, self.inhibited = active, silenced, inhibited
        self.matchers = [read("bad-matcher", parse_matcher, one) for one in matcher or []]
        self.receiver = None if receiver is None else _receiver_matcher(receiver)

    def wants(self, alert: GettableAlert) -> bool:
        """Whether an alert is meant."""
        status = alert.status
        wanted = (
            (self.active or status.state != "active")
            and (self.silenced or not (status.silencedBy or status.mutedBy))
            and (self.inhibited or not status.inhibitedBy)
        )
        return wanted and (self.receiver is None or any(self.meant(one.name) for one in alert.receivers))

    def meant(self, receiver: str) -> bool:
        """Whether a receiver is meant."""
        return self.receiver is None or self.receiver.matches({"receiver": receiver})


Asked = Annotated[_Asked, Depends()]


def _receiver_matcher(pattern: str) -> Matcher:
    try:
        return Matcher("receiver", "=~", pattern)
    except ValueError as error:
        raise bad("bad-matcher", str(error)) from error


def gettable(standing: Standing, view: View, now: int, public_url: str) -> GettableAlert:
    """Show a firing alert in Alertmanager's shape."""
    alert, labels = standing.alert, standing.alert.labels
    silenced, inhibited = view.silenced_by(labels), view.inhibited_by(labels)
    shelved = ["shelved"] if standing.shelved(now) else []
    began = alert.fired_at or alert.started_at
    return GettableAlert(
        labels=labels,
        annotations=annotations_of(alert.annotations, alert.runbook),
        startsAt=format_time(alert.started_at),
        endsAt=format_time(now + _LASTS),
        updatedAt=format_time(began),
        generatorURL=generator_url(public_url, alert.id),
        fingerprint=fingerprint(labels),
        receivers=[Receiver(name=name) for name in view.receivers(labels)],
        status=AlertStatus(
            state="suppressed" if silenced or inhibited or shelved else "active",
            silencedBy=silenced,
            inhibitedBy=inhibited,
            mutedBy=shelved,
        ),
    )


def routes(
    repository: AlertRepository, views: Views, started: int, now: Callable[[], int], public_url: str
) -> APIRouter:
    """Build the routes; the service runs since `started`."""
    router = APIRouter(prefix="/api/v2", tags=["alertmanager"])

    async def firing(asked: _Asked) -> tuple[View, list[GettableAlert]]:
        at = now()
        view = await views.at(at)
        found: list[GettableAlert] = []
        behind: str | None = ""
        wanted = Wanted(states=[State.FIRING], matchers=asked.matchers)
        while behind is not None:
            page, behind = await repository.alerts(wanted, at, _PAGE, behind)
            shown = (gettable(standing, view, at, public_url) for standing in page)
            found += [alert for alert in shown if asked.wants(alert)]
            if len(found) > MOST_ALERTS:
                detail = f"More than {MOST_ALERTS} alerts fire; ask for some of them by filter."
                raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "too-many-alerts", "Too many alerts", detail)
        return view, found

    @router.get("/status")
    async def status() -> AlertmanagerStatus:
        """Tell what answers here."""
        routing = next((one.content for one in await views.documents() if one.kind is Kind.ROUTING), {})
        return AlertmanagerStatus(
            cluster=Cluster(),
            versionInfo=VersionInfo(),
            config=Config(original=yaml.safe_dump(routing, sort_keys=False)),
            uptime=format_time(started),
        )

    @router.get("/receivers")
    async def receivers() -> list[Receiver]:
        """List the receivers."""
        names = {one.id for one in await views.documents() if one.kind is Kind.RECEIVER}
        if views.built_in:
            names.add(BUILT_IN)
        return [Receiver(name=name) for name in sorted(names)]

    @router.get("/alerts")
    async def alerts(asked: Asked) -> list[GettableAlert]:
        """List firing alerts."""
        return (await firing(asked))[1]

    @router.get("/alerts/groups")
    async def groups(asked: Asked) -> list[AlertGroup]:
        """List firing alerts as they are told together."""
        view, found = await firing(asked)
        return _grouped(view, found, asked)

    return router


def _grouped(view: View, alerts: Sequence[GettableAlert], asked: _Asked) -> list[AlertGroup]:
    groups: dict[tuple[str, str], AlertGroup] = {}
    for alert in alerts:
        for route in view.routes(alert.labels):
            for receiver in filter(asked.meant, receivers_of(route)):
                key = (route.group_key(alert.labels), receiver)
                if key not in groups:
                    labels = route.group_labels(alert.labels)
                    groups[key] = AlertGroup(labels=labels, receiver=Receiver(name=receiver), alerts=[])
                groups[key].alerts.append(alert)
    return list(groups.values())
