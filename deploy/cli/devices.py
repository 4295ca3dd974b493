"""`sensorium devices`: the registry of devices."""

from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.cli.arguments import DeviceArgument, Filter, Format, Most, Out, json_pairs, pairs, segment
from deploy.cli.files import started, written
from deploy.cli.session import Session, command

app = typer.Typer(no_args_is_help=True, help="The registry of devices.")

COLUMNS = ("id", "name", "profile", "groups", "tags", "online", "enabled", "updated")

Name = Annotated[str, typer.Option(help="What people call it.")]
Profile = Annotated[str, typer.Option(help="What kind of device it is.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="A tag; again for more.")]
Groups = Annotated[list[str] | None, typer.Option("--group", help="A group that it is in; again for more.")]
Attributes = Annotated[
    list[str] | None, typer.Option("--attribute", metavar="NAME=JSON", help="An attribute; again for more.")
]


@command(app, "list")
def list_devices(
    session: Session,
    filter_: Filter = "",
    search: Annotated[str, typer.Option(help="Words that occur in id, name or tags.")] = "",
    sort: Annotated[str, typer.Option(help="A field; - before it: descending.")] = "id",
    limit: Most = 0,
) -> None:
    """List devices, all of a filter."""
    query = {"filter": filter_, "search": search, "sort": sort}
    session.out.rows(COLUMNS, session.api.pages("/devices", query, limit))


@command(app, "show")
def show(session: Session, device: DeviceArgument) -> None:
    """Show a device."""
    session.out.one(session.api.get(f"/devices/{segment(device)}"))


@command(app, "counts")
def counts(
    session: Session,
    by: Annotated[str, typer.Argument(help="profile, group, state, enabled or tags.KEY")] = "profile",
    filter_: Filter = "",
) -> None:
    """Count devices by what they have in common."""
    found = session.api.get("/device-counts", {"by": by, "filter": filter_})
    session.out.rows(("value", "devices"), found["items"])


@command(app, "add")
def add(
    session: Session,
    device: DeviceArgument,
    name: Name = "",
    profile: Profile = "",
    tag: Tags = None,
    group: Groups = None,
    attribute: Attributes = None,
) -> None:
    """Register a device."""
    body = _content(name, profile, tag, group, attribute) | {"id": device}
    session.out.one(session.api.ask("POST", "/devices", body=body))


@command(app, "set")
def change(  # noqa: PLR0913 - one parameter an option
    session: Session,
    device: DeviceArgument,
    *,
    name: Name = "",
    profile: Profile = "",
    tag: Tags = None,
    group: Groups = None,
    attribute: Attributes = None,
    enabled: Annotated[bool | None, typer.Option("--enable/--disable", help="Whether its readings are taken.")] = None,
) -> None:
    """Change a device. Tags, groups and attributes are replaced as a whole."""
    body = _content(name, profile, tag, group, attribute)
    if enabled is not None:
        body["enabled"] = enabled
    if not body:
        raise typer.BadParameter("say what to change")
    session.out.one(session.api.ask("PATCH", f"/devices/{segment(device)}", body=body))


@command(app, "rm")
def remove(
    session: Session,
    device: DeviceArgument,
    *,
    purge: Annotated[bool, typer.Option("--purge", help="For good: it cannot be restored.")] = False,
) -> None:
    """Delete a device; its telemetry stays, and it can be restored."""
    session.api.ask("DELETE", f"/devices/{segment(device)}", {"purge": "true"} if purge else None)
    session.out.done(f"{device} is deleted")


@command(app, "restore")
def restore(session: Session, device: DeviceArgument) -> None:
    """Restore a device that was deleted."""
    session.out.one(session.api.ask("POST", f"/devices/{segment(device)}/restore"))


@command(app, "import")
def import_devices(
    session: Session,
    file: Annotated[Path, typer.Argument(help="CSV or JSON Lines.")],
    format_: Format = "",
    mode: Annotated[str, typer.Option(help="upsert, create or update.")] = "upsert",
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, and change nothing.")] = False,
) -> None:
    """Import devices from a file, as a job: each row is applied, or reported."""
    query = {"mode": mode, "dry_run": str(dry_run).lower()}
    started(session, "/jobs/import/devices", file, format_, query)


@command(app, "export")
def export(session: Session, filter_: Filter = "", format_: Format = "csv", out: Out = None) -> None:
    """Export devices, all or those of a filter."""
    written(session, "/device-export", {"filter": filter_, "format": format_}, out)


def _content(
    name: str, profile: str, tag: list[str] | None, group: list[str] | None, attribute: list[str] | None
) -> dict[str, Any]:
    body: dict[str, Any] = {"name": name, "profile": profile}
    body = {key: value for key, value in body.items() if value}
    if tag is not None:
        body["tags"] = pairs(tag, "tag")
    if group is not None:
        body["groups"] = group
    if attribute is not None:
        body["attributes"] = json_pairs(attribute, "attribute")
    return body
