"""`sensorium commands`: what devices are told to do."""

from typing import Annotated

import typer

from deploy.cli.arguments import DeviceArgument, Most, json_pairs, segment
from deploy.cli.session import Session, command

app = typer.Typer(no_args_is_help=True, help="What devices are told to do, and what came of it.")

COLUMNS = ("id", "device", "name", "params", "state", "created", "changed", "error")

Params = Annotated[list[str] | None, typer.Option("--param", metavar="NAME=JSON", help="A parameter; again for more.")]
CommandArgument = Annotated[str, typer.Argument(metavar="COMMAND")]


@command(app, "send")
def send(
    session: Session,
    device: DeviceArgument,
    name: Annotated[str, typer.Argument(help="What it is to do.")],
    param: Params = None,
    wait: Annotated[float, typer.Option(min=0, max=60, help="Seconds to wait for the outcome.")] = 0,
    *,
    one_way: Annotated[bool, typer.Option("--one-way", help="The device does not answer.")] = False,
) -> None:
    """Send a command to a device; one that is offline gets it when it comes back."""
    body = {"name": name, "params": json_pairs(param or [], "parameter"), "response": not one_way}
    made = session.api.ask("POST", f"/devices/{segment(device)}/commands", {"wait": wait} if wait else None, body)
    session.out.one(made)


@command(app, "list")
def list_commands(
    session: Session,
    device: Annotated[str, typer.Option(help="Those of a device.")] = "",
    state: Annotated[str, typer.Option(help="Those in a state.")] = "",
    limit: Most = 100,
) -> None:
    """List commands, the newest first."""
    query = {"device": device, "state": state}
    session.out.rows(COLUMNS, session.api.pages("/commands", query, limit))


@command(app, "show")
def show(session: Session, id_: CommandArgument) -> None:
    """Show a command, and what became of it."""
    session.out.one(session.api.get(f"/commands/{segment(id_)}"))


@command(app, "rm")
def cancel(session: Session, id_: CommandArgument) -> None:
    """Cancel a command that has not been sent."""
    session.out.one(session.api.ask("DELETE", f"/commands/{segment(id_)}"))
