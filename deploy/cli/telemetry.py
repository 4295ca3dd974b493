"""`sensorium telemetry`: what devices have measured."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.cli.arguments import DeviceArgument, End, Filter, Format, Most, Out, Start, segment
from deploy.cli.files import started, written
from deploy.cli.session import Session, command

app = typer.Typer(no_args_is_help=True, help="What devices have measured.")

Devices = Annotated[list[str] | None, typer.Argument(metavar="[DEVICE]…")]


@command(app, "latest")
def latest(session: Session, devices: Devices = None, filter_: Filter = "") -> None:
    """Show the newest value of each metric, of devices or of a filter."""
    if bool(devices) == bool(filter_):
        raise typer.BadParameter("name devices or give --filter, one of the two")
    if devices:
        items = iter(session.api.get("/telemetry/latest", {"device": devices})["items"])
    else:
        items = session.api.pages("/telemetry/latest", {"filter": filter_})
    rows = (
        {"device": item["device"], "metric": metric, **point}
        for item in items
        for metric, point in item["values"].items()
    )
    session.out.rows(("device", "metric", "value", "ts"), rows)


@command(app, "range")
def range_(  # noqa: PLR0913 - one parameter an option
    session: Session,
    device: DeviceArgument,
    metric: Annotated[str, typer.Argument()],
    *,
    start: Start,
    end: End,
    aggregate: Annotated[str, typer.Option(help="mean, min, max, sum, count, first, last or stddev.")] = "",
    interval: Annotated[str, typer.Option(help="How wide windows are: 1m, 1h, 1d, auto, …")] = "",
    limit: Most = 0,
) -> None:
    """Show the points of a metric, or an aggregate over windows."""
    query = {"metric": metric, "start": start, "end": end, "aggregate": aggregate, "interval": interval}
    session.out.rows(("ts", "value"), _points(session, f"/devices/{segment(device)}/telemetry", query, limit))


def _points(session: Session, path: str, query: dict[str, str], most: int) -> Iterator[dict[str, Any]]:
    cursor, given = None, 0
    while True:
        limit = min(10_000, most - given) if most else 10_000
        page = session.api.get(path, {**query, "limit": limit, "cursor": cursor})
        yield from page["points"]
        given, cursor = given + len(page["points"]), page["next"]
        if cursor is None or 0 < most <= given:
            return


@command(app, "export")
def export(  # noqa: PLR0913 - one parameter an option
    session: Session,
    devices: Devices = None,
    *,
    metric: Annotated[list[str] | None, typer.Option(help="A metric; again for more; all if none.")] = None,
    filter_: Filter = "",
    start: Start = "",
    end: End = "",
    format_: Format = "csv",
    out: Out = None,
) -> None:
    """Export telemetry, of devices or of a filter."""
    query = {"device": devices, "metric": metric, "filter": filter_, "start": start, "end": end, "format": format_}
    written(session, "/telemetry/export", query, out)


@command(app, "import")
def import_telemetry(
    session: Session,
    file: Annotated[Path, typer.Argument(help="As `telemetry export` writes it.")],
    format_: Format = "",
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, and change nothing.")] = False,
) -> None:
    """Import telemetry from a file, as a job."""
    started(session, "/jobs/import/telemetry", file, format_, {"dry_run": str(dry_run).lower()})


@command(app, "watch")
def watch(
    session: Session,
    filter_: Filter = "",
    event: Annotated[list[str] | None, typer.Option(help="A kind of event; again for more.")] = None,
    metric: Annotated[list[str] | None, typer.Option(help="A metric; again for more.")] = None,
) -> None:
    """Show what happens as it happens, until Ctrl-C: a line an event, as JSON."""
    query = {"filter": filter_, "event": event, "metric": metric}
    with session.api.stream("/events", query, endless=True) as answer:
        kind = ""
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                session.out.line({"event": kind, **json.loads(value)})
