"""`sensorium decode`: what ingest makes of a payload, and why."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from contracts.devices import profile_key
from contracts.records import Records
from contracts.settings import load
from ingest import table
from ingest.admit import Admission
from ingest.context import Context
from ingest.explain import Explainer, Explanation
from ingest.outcomes import Arrival, Outcome
from ingest.patience import Patience
from ingest.rates import RateLimits
from ingest.routes import Routes
from ingest.settings import Settings
from ingest.show import as_json, lines, outcome
from ingest.times import SECOND, BadTimeError, event_time

LARGEST = 268_435_455
"""Bytes of the largest message that MQTT can carry."""

_LATEST = (1 << 63) - 1
_LONGEST_TOPIC = 65_535
_STYLES = {Outcome.STORED: "green", Outcome.IGNORED: "yellow", Outcome.REJECTED: "red"}
_WARNINGS = ("problem", "refused")

T = TypeVar("T")


class UsageError(ValueError):
    """The command cannot be carried out as it was given; the message says why."""


def decode(  # noqa: PLR0913 - one parameter an option
    *,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="The payload; - reads it from standard input.")],
    topic: Annotated[str, typer.Option(help="The topic that it was published on.")],
    routes: Annotated[Path | None, typer.Option(help="Routing table, instead of the one INGEST_ROUTES names.")] = None,
    record: Annotated[
        list[Path] | None,
        typer.Option(help="DeviceRecord or ProfileRecord as JSON: take the message as if this were registered."),
    ] = None,
    before: Annotated[
        list[str] | None, typer.Option(metavar="TOPIC=FILE", help="A message that came before, a second apart.")
    ] = None,
    prop: Annotated[
        list[str] | None, typer.Option("--property", metavar="NAME=VALUE", help="An MQTT 5 property, as content-type.")
    ] = None,
    at: Annotated[
        str, typer.Option(metavar="TIME", help="When it was received: ISO 8601 or epoch; now if left out.")
    ] = "",
    retained: Annotated[bool, typer.Option("--retained", help="The broker had kept it.")] = False,
    as_hex: Annotated[bool, typer.Option("--hex", help="The payloads are written in hex.")] = False,
    as_object: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what any payload becomes, and why: with the very code of ingest, and nothing is written anywhere.

    Exits with 0 if it is stored or ignored, 1 if any part of it is rejected, 2 if the command itself is wrong.
    Limits and settings are those of the environment, as ingest reads it.
    """
    try:
        rows, explainer = _explainer(routes, record or [])
        received = _time(at)
        earlier = _earlier(before or [], received, as_hex=as_hex)
        arrival = Arrival(
            _topic(topic),
            _payload(file, as_hex=as_hex),
            received,
            retained=retained,
            properties=dict(map(_property, prop or [])),
        )
    except UsageError as error:
        sys.stderr.write(f"sensorium decode: {error}\n")
        raise typer.Exit(2) from error
    first = [explainer.explain(one) for one in earlier]
    explained = explainer.explain(arrival)
    if as_object:
        found = as_json(explained, rows)
        found["before"] = [
            {"topic": one.arrival.topic, "outcome": str(one.outcome), "reason": str(one.reason)} for one in first
        ]
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        _print(first, explained, rows)
    raise typer.Exit(0 if explained.whole else 1)


def _explainer(routes: Path | None, records: list[Path]) -> tuple[list[table.Row], Explainer]:
    settings = load(Settings)
    known = _records(records)
    path = routes or settings.routes
    try:
        rows = table.built_in() if path is None else table.read(path)
    except table.TableError as error:
        raise UsageError(f"the routing table: {error}") from error
    admission = Admission(
        known.get,
        RateLimits(settings.message_rate, settings.point_rate),
        # Where no record is given there is no registry to ask, and everybody is admitted.
        register=settings.unknown_device == "register" or not known,
    )
    patience = Patience(settings.decode_seconds)
    ahead = int(settings.clock_ahead_seconds * SECOND)
    return rows, Explainer(rows, Routes(rows, ahead), Context(settings.limits, known.get), admission, patience)


def _topic(text: str) -> str:
    if not text or "\0" in text or len(text.encode("utf-8", "replace")) > _LONGEST_TOPIC:
        raise UsageError(f"a topic is 1 to {_LONGEST_TOPIC} bytes, and holds no null character")
    if set("+#") & set(text):
        raise UsageError(f"{text!r} is a filter; a message is published on a topic, without + and #")
    return text


def _property(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"--property {text!r} is not NAME=VALUE")
    return name, value


def _earlier(given: list[str], received: int, *, as_hex: bool) -> list[Arrival]:
    """Read the messages that came before, a second apart."""
    found = []
    for ago, text in zip(range(len(given), 0, -1), given, strict=True):
        topic, _, path = text.rpartition("=")  # a topic may hold an equals sign more likely than a file's name
        if not topic or not path:
            raise UsageError(f"--before {text!r} is not TOPIC=FILE")
        found.append(Arrival(_topic(topic), _payload(path, as_hex=as_hex), received - ago * SECOND))
    return found


def _time(text: str) -> int:
    if not text:
        return time.time_ns()  # noqa: TID251 - a command is its own composition root
    try:
        ts, flags = event_time(text, _LATEST, 0)
    except BadTimeError as error:
        raise UsageError(f"--at: {error}") from error
    if "clock" in flags:
        raise UsageError(f"--at: {text!r} is not between the years 2001 and 2262")
    return ts


def _payload(path: str, *, as_hex: bool) -> bytes:
    """Read a payload as it is, or written in hex."""
    most = LARGEST * 3 if as_hex else LARGEST
    try:
        if path == "-":
            data = sys.stdin.buffer.read(most + 1)
        else:
            with Path(path).open("rb") as source:
                data = source.read(most + 1)
    except OSError as error:
        raise UsageError(f"{path!r} cannot be read: {error.strerror}") from error
    if len(data) > most:
        raise UsageError(f"{path!r} is larger than any MQTT message, which holds {LARGEST} bytes")
    if not as_hex:
        return data
    try:
        return bytes.fromhex(data.decode())
    except ValueError as error:
        raise UsageError(f"{path!r} is not hex: {error}") from error


def _records(paths: list[Path]) -> Records:
    known = Records()
    for number, path in enumerate(paths):
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UsageError(f"--record {str(path)!r} cannot be read: {error.strerror}") from error
        try:
            known.learn(f"{number}", data)
        except msgspec.DecodeError as error:
            try:
                known.learn(profile_key(f"{number}"), data)
            except msgspec.DecodeError:
                raise UsageError(f"--record {str(path)!r} is no DeviceRecord, and no ProfileRecord: {error}") from error
    return known


def _print(first: list[Explanation], explained: Explanation, rows: list[table.Row]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for one in first:
        console.print(Text(f"before    {outcome(one)} ({one.arrival.topic!a})", "dim"))
    for line in lines(explained, rows):
        style = "red" if line.startswith(_WARNINGS) else ""
        if line.startswith("outcome"):
            style = f"bold {'red' if not explained.whole else _STYLES[explained.outcome]}"
        console.print(Text(line, style))
