"""`sensorium alerts`: what is wrong, and who knows of it."""

from typing import Annotated, Any

import typer

from deploy.cli.arguments import End, Most, Start, segment
from deploy.cli.session import ALERTING, Session, command

app = typer.Typer(no_args_is_help=True, help="What is wrong, and who knows of it.")

COLUMNS = ("id", "state", "severity", "rule", "device", "group", "value", "started_at", "assignee")
HISTORY = ("at", "what", "severity", "value", "by", "comment", "reason")

AlertArgument = Annotated[str, typer.Argument(metavar="ALERT")]
By = Annotated[str, typer.Option(envvar="USER", help="Who does it.")]
Comment = Annotated[str, typer.Option(help="Why.")]
Until = Annotated[str, typer.Option(help="Until this time: RFC 3339 or seconds since 1970.")]


@command(app, "list", ALERTING)
def list_alerts(  # noqa: PLR0913 - one parameter an option
    session: Session,
    *,
    state: Annotated[list[str] | None, typer.Option(help="pending, firing or resolved; again for more.")] = None,
    rule: Annotated[str, typer.Option(help="Of a rule, by its id.")] = "",
    device: Annotated[str, typer.Option(help="Of a device.")] = "",
    severity: Annotated[str, typer.Option(help="info, warning or critical.")] = "",
    label: Annotated[list[str] | None, typer.Option(help='A matcher, as in site="north"; again for more.')] = None,
    since: Start = "",
    until: End = "",
    limit: Most = 100,
    unacknowledged: Annotated[bool, typer.Option("--unacknowledged", help="That nobody has acknowledged.")] = False,
) -> None:
    """List alerts, the newest first."""
    query: dict[str, str | list[str] | None] = {"state": state, "rule": rule, "device": device, "severity": severity}
    query |= {"label": label, "since": since, "until": until, "acknowledged": "false" if unacknowledged else ""}
    session.out.rows(COLUMNS, session.api.pages("/alerts", query, limit))


@command(app, "show", ALERTING)
def show(
    session: Session,
    alert: AlertArgument,
    *,
    history: Annotated[bool, typer.Option("--history", help="What happened to it, in place of how it stands.")] = False,
) -> None:
    """Show an alert, or its history."""
    path = f"/alerts/{segment(alert)}"
    if history:
        session.out.rows(HISTORY, session.api.pages(f"{path}/history"))
    else:
        session.out.one(session.api.get(path))


@command(app, "ack", ALERTING)
def acknowledge(session: Session, alert: AlertArgument, by: By = "", comment: Comment = "", until: Until = "") -> None:
    """Say that you know of a firing alert."""
    _do(session, alert, "acknowledge", by, {"comment": comment} | ({"until": until} if until else {}))


@command(app, "resolve", ALERTING)
def resolve(session: Session, alert: AlertArgument, by: By = "", comment: Comment = "") -> None:
    """End an alert; while values stay bad, the next reading begins another."""
    _do(session, alert, "resolve", by, {"comment": comment})


@command(app, "shelve", ALERTING)
def shelve(session: Session, alert: AlertArgument, until: Until, by: By = "", comment: Comment = "") -> None:
    """Have nobody told of an alert until a time."""
    _do(session, alert, "shelve", by, {"comment": comment, "until": until})


def _do(session: Session, alert: str, act: str, by: str, body: dict[str, Any]) -> None:
    if not by:
        raise typer.BadParameter("say who does it: --by NAME")
    session.out.one(session.api.ask("POST", f"/alerts/{segment(alert)}/{act}", body={"by": by} | body))
