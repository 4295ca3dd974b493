"""`sensorium rules`: when something is wrong."""

from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.cli.arguments import Most, Out, segment
from deploy.cli.files import written
from deploy.cli.session import ALERTING, Session, command

app = typer.Typer(no_args_is_help=True, help="When something is wrong.")

COLUMNS = ("id", "version", "kind", "name", "enabled", "pending", "firing", "error")
TIMELINE = ("device", "at", "what", "severity", "value", "reason")

RuleArgument = Annotated[str, typer.Argument(metavar="RULE")]


@command(app, "list", ALERTING)
def list_rules(
    session: Session,
    name: Annotated[str, typer.Option(help="Part of the name.")] = "",
    kind: Annotated[str, typer.Option(help="threshold, condition, rate, absence, …")] = "",
    limit: Most = 0,
    *,
    in_error: Annotated[bool, typer.Option("--in-error", help="Something is wrong with them.")] = False,
) -> None:
    """List rules."""
    query = {"name": name, "kind": kind, "in_error": "true" if in_error else ""}
    found = session.api.pages("/rules", query, limit)
    session.out.rows(COLUMNS, found if session.out.for_programs else map(_row, found))


def _row(rule: dict[str, Any]) -> dict[str, Any]:
    spec, error = rule["spec"], rule["error"]
    told: dict[str, Any] = {"id": rule["id"], "version": rule["version"], "error": error and error["message"]}
    told |= {name: spec[name] for name in ("kind", "name", "enabled")}
    return told | {state: rule["alerts"][state] for state in ("pending", "firing")}


@command(app, "show", ALERTING)
def show(session: Session, rule: RuleArgument) -> None:
    """Show a rule."""
    session.out.one(session.api.get(f"/rules/{segment(rule)}"))


@command(app, "apply", ALERTING)
def apply(
    session: Session,
    file: Annotated[Path, typer.Option("--file", "-f", help="YAML, as `rules export` writes it.", exists=True)],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, and change nothing.")] = False,
) -> None:
    """Make or replace all rules of a file: all of them, or none where one is wrong."""
    with file.open("rb") as opened:
        query = {"dry": str(dry_run).lower()}
        session.out.one(session.api.upload("/rules/import", query, opened, "application/yaml"))


@command(app, "export", ALERTING)
def export(session: Session, out: Out = None) -> None:
    """Export all rules as YAML."""
    written(session, "/rules/export", {}, out)


@command(app, "enable", ALERTING)
def enable(session: Session, rule: RuleArgument) -> None:
    """Let a rule evaluate."""
    session.out.one(session.api.ask("POST", f"/rules/{segment(rule)}/enable"))


@command(app, "disable", ALERTING)
def disable(session: Session, rule: RuleArgument) -> None:
    """Let a rule evaluate no more; its alerts end."""
    session.out.one(session.api.ask("POST", f"/rules/{segment(rule)}/disable"))


@command(app, "dry-run", ALERTING)
def dry_run(
    session: Session,
    rule: RuleArgument,
    start: Annotated[str, typer.Option(help="From this time on: RFC 3339 or seconds since 1970.")],
    end: Annotated[str, typer.Option(help="Before this time.")],
) -> None:
    """Say what a rule would have done over a time: each change of each alert."""
    found = session.api.ask("POST", "/rules/dry-run", body={"rule_id": rule, "start": start, "end": end})
    if session.out.for_programs:
        session.out.one(found)
        return
    rows = ({"device": one["device"]} | change for one in found["timeline"] for change in one["changes"])
    session.out.rows(TIMELINE, rows)
    session.out.done(f"{found['alerts']} alerts at {found['devices']} devices, from {found['events']} readings")
