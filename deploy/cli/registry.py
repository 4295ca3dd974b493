"""`sensorium groups`, `profiles`, `keys` and `jobs`."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.arguments import DeviceArgument, Most, json_file, segment
from deploy.cli.files import finished
from deploy.cli.session import Session, command

groups = typer.Typer(no_args_is_help=True, help="The tree of groups that devices are in.")
profiles = typer.Typer(no_args_is_help=True, help="What devices of a kind measure.")
keys = typer.Typer(no_args_is_help=True, help="API keys.")
jobs = typer.Typer(no_args_is_help=True, help="Imports and exports that run by themselves.")

GroupArgument = Annotated[str, typer.Argument(metavar="GROUP")]
ProfileArgument = Annotated[str, typer.Argument(metavar="PROFILE")]
KeyArgument = Annotated[str, typer.Argument(metavar="KEY-ID")]
JobArgument = Annotated[str, typer.Argument(metavar="JOB")]
Name = Annotated[str, typer.Option(help="What people call it.")]


@command(groups, "list")
def list_groups(session: Session, limit: Most = 0) -> None:
    """List groups."""
    session.out.rows(("id", "name", "path", "devices", "devices_below"), session.api.pages("/groups", most=limit))


@command(groups, "show")
def show_group(session: Session, group: GroupArgument) -> None:
    """Show a group."""
    session.out.one(session.api.get(f"/groups/{segment(group)}"))


@command(groups, "add")
def add_group(
    session: Session,
    group: GroupArgument,
    name: Name = "",
    parent: Annotated[str, typer.Option(help="The group that it is in.")] = "",
) -> None:
    """Make a group."""
    body = {"id": group, "name": name or None, "parent": parent or None}
    session.out.one(session.api.ask("POST", "/groups", body=body))


@command(groups, "set")
def change_group(session: Session, group: GroupArgument, name: Annotated[str, typer.Option()]) -> None:
    """Call a group otherwise."""
    session.out.one(session.api.ask("PATCH", f"/groups/{segment(group)}", body={"name": name}))


@command(groups, "rm")
def remove_group(session: Session, group: GroupArgument) -> None:
    """Remove a group that has nothing in it."""
    session.api.ask("DELETE", f"/groups/{segment(group)}")
    session.out.done(f"{group} is removed")


@command(groups, "put")
def put_in(session: Session, group: GroupArgument, devices: Annotated[list[str], typer.Argument()]) -> None:
    """Put devices into a group."""
    for device in devices:
        session.api.ask("PUT", f"/groups/{segment(group)}/devices/{segment(device)}")
    session.out.done(f"{len(devices)} devices are in {group}")


@command(groups, "take")
def take_out(session: Session, group: GroupArgument, device: DeviceArgument) -> None:
    """Take a device out of a group."""
    session.api.ask("DELETE", f"/groups/{segment(group)}/devices/{segment(device)}")
    session.out.done(f"{device} is out of {group}")


@command(profiles, "list")
def list_profiles(session: Session) -> None:
    """List profiles."""
    items = session.api.pages("/profiles", most=0, page=100)
    session.out.rows(("id", "version", "zone", "metrics", "updated"), items)


@command(profiles, "show")
def show_profile(session: Session, profile: ProfileArgument) -> None:
    """Show a profile."""
    session.out.one(session.api.get(f"/profiles/{segment(profile)}"))


@command(profiles, "set")
def put_profile(
    session: Session, profile: ProfileArgument, file: Annotated[Path, typer.Argument(help="Its content, as JSON.")]
) -> None:
    """Make or replace a profile."""
    session.out.one(session.api.ask("PUT", f"/profiles/{segment(profile)}", body=json_file(file)))


@command(profiles, "rm")
def remove_profile(session: Session, profile: ProfileArgument) -> None:
    """Remove a profile that no device names."""
    session.api.ask("DELETE", f"/profiles/{segment(profile)}")
    session.out.done(f"{profile} is removed")


@command(keys, "list")
def list_keys(session: Session) -> None:
    """List API keys, without what they are."""
    columns = ("id", "name", "scopes", "groups", "expires", "last_used", "disabled")
    session.out.rows(columns, session.api.pages("/keys"))


@command(keys, "add")
def add_key(
    session: Session,
    name: Annotated[str, typer.Argument()],
    scope: Annotated[list[str], typer.Option(help="read, write, commands or admin; again for more.")],
    group: Annotated[list[str] | None, typer.Option(help="A group that it is limited to; again for more.")] = None,
    expires: Annotated[str, typer.Option(help="When it ends.")] = "",
) -> None:
    """Make an API key, which is shown this once."""
    body = {"name": name, "scopes": scope, "groups": group or None, "expires": expires or None}
    session.out.one(session.api.ask("POST", "/keys", body=body))


@command(keys, "set")
def change_key(
    session: Session,
    id_: KeyArgument,
    *,
    disabled: Annotated[bool, typer.Option("--disable/--enable", help="Whether it lets nobody in.")],
) -> None:
    """Disable or enable an API key."""
    session.out.one(session.api.ask("PATCH", f"/keys/{segment(id_)}", body={"disabled": disabled}))


@command(keys, "rm")
def remove_key(session: Session, id_: KeyArgument) -> None:
    """Remove an API key."""
    session.api.ask("DELETE", f"/keys/{segment(id_)}")
    session.out.done(f"{id_} is removed")


@command(jobs, "list")
def list_jobs(session: Session, limit: Most = 100) -> None:
    """List jobs, the newest first."""
    columns = ("id", "kind", "state", "progress", "applied", "rejected", "by", "created")
    session.out.rows(columns, session.api.pages("/jobs", most=limit))


@command(jobs, "show")
def show_job(session: Session, job: JobArgument) -> None:
    """Show a job."""
    session.out.one(session.api.get(f"/jobs/{segment(job)}"))


@command(jobs, "wait")
def wait_for(session: Session, job: JobArgument) -> None:
    """Wait for a job's end; exits with 1 if it failed, or rejected a row."""
    finished(session, session.api.get(f"/jobs/{segment(job)}"))


@command(jobs, "report")
def report(session: Session, job: JobArgument, limit: Most = 0) -> None:
    """List the rows that a job has rejected, and why."""
    session.out.rows(("row", "device", "problem"), session.api.pages(f"/jobs/{segment(job)}/report", most=limit))


@command(jobs, "rm")
def cancel_job(session: Session, job: JobArgument) -> None:
    """End a job."""
    session.out.one(session.api.ask("DELETE", f"/jobs/{segment(job)}"))
