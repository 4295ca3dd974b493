"""`sensorium silences`: of which alerts nobody is told."""

from dataclasses import replace
from typing import Annotated, Any

import typer

from deploy.cli.arguments import segment
from deploy.cli.session import ALERTING, Session, command

app = typer.Typer(no_args_is_help=True, help="Of which alerts nobody is told.")

COLUMNS = ("id", "state", "matchers", "startsAt", "endsAt", "createdBy", "comment")
_OPERATORS = {"=~": (True, True), "!~": (True, False), "!=": (False, False), "=": (False, True)}
_SILENCES = replace(ALERTING, prefix="/api/v2")


@command(app, "list", _SILENCES)
def list_silences(
    session: Session,
    *,
    expired: Annotated[bool, typer.Option("--expired", help="Those that are over, too.")] = False,
) -> None:
    """List silences."""
    found = (_row(one) for one in session.api.get("/silences"))
    session.out.rows(COLUMNS, (one for one in found if expired or one["state"] != "expired"))


def _row(silence: dict[str, Any]) -> dict[str, Any]:
    words = {flags: operator for operator, flags in _OPERATORS.items()}
    matchers = [
        f'{one["name"]}{words[one["isRegex"], one.get("isEqual", True)]}"{one["value"]}"' for one in silence["matchers"]
    ]
    return silence | {"matchers": matchers, "state": silence["status"]["state"]}


@command(app, "add", _SILENCES)
def add(
    session: Session,
    matcher: Annotated[list[str], typer.Argument(metavar="MATCHER…", help='As in alertname="too hot" or site=~"n.*"')],
    start: Annotated[str, typer.Option(help="From this time on: RFC 3339.")],
    end: Annotated[str, typer.Option(help="Until this time.")],
    comment: Annotated[str, typer.Option(help="Why.")],
    by: Annotated[str, typer.Option(envvar="USER", help="Who does it.")] = "",
) -> None:
    """Silence the alerts that meet all matchers."""
    if not by:
        raise typer.BadParameter("say who does it: --by NAME")
    body = {"matchers": [_matcher(one) for one in matcher], "startsAt": start, "endsAt": end}
    session.out.one(session.api.ask("POST", "/silences", body=body | {"createdBy": by, "comment": comment}))


def _matcher(text: str) -> dict[str, Any]:
    for operator, (regex, equal) in _OPERATORS.items():
        name, found, value = text.partition(operator)
        if found and name.strip().replace("_", "a").isalnum():
            return {"name": name.strip(), "value": value.strip().strip('"'), "isRegex": regex, "isEqual": equal}
    raise typer.BadParameter(f'{text!r} is no matcher: write NAME="VALUE", or !=, =~, !~ in place of =')


@command(app, "expire", _SILENCES)
def expire(session: Session, silence: Annotated[str, typer.Argument(metavar="SILENCE")]) -> None:
    """End a silence."""
    session.api.ask("DELETE", f"/silence/{segment(silence)}")
    session.out.done(f"{silence} is over")
