"""Arguments that several commands take, and how they are read."""

import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

Filter = Annotated[str, typer.Option("--filter", help='Which devices, as in: profile eq "pump" and online eq false')]
Most = Annotated[int, typer.Option("--limit", min=0, help="Most that are shown; 0: all.")]
Start = Annotated[str, typer.Option(help="At this time or later: RFC 3339 or seconds since 1970.")]
End = Annotated[str, typer.Option(help="Before this time.")]
Out = Annotated[Path | None, typer.Option("--out", help="The file to write; by default standard output.")]
Format = Annotated[str, typer.Option("--format", help="csv, jsonl, and for telemetry parquet or arrow.")]
DeviceArgument = Annotated[str, typer.Argument(metavar="DEVICE")]


def segment(text: str) -> str:
    """Write an id as a part of a path."""
    return quote(text, safe="")


def pairs(given: list[str], what: str) -> dict[str, str]:
    """Read `NAME=VALUE` of an option that may be given again."""
    found = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"{one!r} is no {what}: write NAME=VALUE")
        found[name] = value
    return found


def json_pairs(given: list[str], what: str) -> dict[str, Any]:
    """Read `NAME=VALUE`, where a value that is no JSON is a text."""
    return {name: _json(value) for name, value in pairs(given, what).items()}


def _json(text: str) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def json_file(path: Path) -> Any:  # noqa: ANN401 - as above
    """Read a file of JSON."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{path}: {error}") from error
