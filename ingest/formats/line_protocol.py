"""InfluxDB line protocol: one record a line, `measurement[,tag=value…] field=value[,field=value…] [time]`.

Tags name the device, else the topic does. The library reads one line; where a line ends is found here, since text in
quotes may hold line breaks.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec
from line_protocol_parser import LineFormatError, parse_line  # type: ignore[import-untyped]  # it has no stubs

from contracts.deadletters import Reason
from ingest.context import Context, Owners
from ingest.findings import MICROSECONDS, MILLISECONDS, NANOSECONDS, SECONDS, Findings, Moment
from ingest.formats import Format
from ingest.identity import spell
from ingest.jsons import BOM
from ingest.outcomes import Arrival, Decoded
from ingest.routes import Route
from ingest.values import Text, shown

MOST_TAGS = 1_000
"""Most tags of a line: the library's time grows with the square of how many there are, and nothing can interrupt it."""

_UNITS = {"ns": NANOSECONDS, "us": MICROSECONDS, "ms": MILLISECONDS, "s": SECONDS}

# A comment; or measurement and tags, where quotes mean nothing, up to the first space; then fields, where `="` begins
# a text that ends at the next quote. A text without an end, or with something else after it, is none: then the line
# ends where it seems to, so that it is refused alone. Nothing is tried twice, however the payload is made.
_LINE = re.compile(
    rb"[ \t]*+(?:#[^\n]*+|(?P<head>(?:\\[^\n]|[^ \n])*+)"
    rb'(?:\\[^\n]|="(?:\\[\s\S]|[^"\\])*+"(?=[, \r\n]|\Z)|[^\n])*+)'
)


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the senders of a route use tags and times.

    `tags`: the first of these that a line has names the device; without one, the route's `device` does. `series`:
    tags whose values become part of the metric, for senders of which one measurement comes several times at one
    moment. `facts`: tags that are told to the registry. `precision` of the times.
    """

    tags: tuple[str, ...] = ("device", "device_id", "host")
    series: tuple[str, ...] = ()
    facts: tuple[str, ...] = ("site", "location", "room", "model", "firmware")
    precision: Literal["ns", "us", "ms", "s"] = "ns"


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode the lines of a message, each by itself."""
    options = route.options
    assert isinstance(options, Options)  # noqa: S101 - the registry reads them as this type
    findings = Findings(arrival, route, context)
    lines = _Lines(findings, options, route.device, context.owners)
    for number, line, tags in _lines(arrival.payload.removeprefix(BOM)):
        where = f"line {number}: "
        if tags > MOST_TAGS:
            findings.problem(Reason.TOO_LARGE, f"{where}it has {tags} tags; {MOST_TAGS} are allowed")
            continue
        try:
            parsed = parse_line(line.decode())
        except UnicodeDecodeError as error:
            findings.problem(Reason.MALFORMED, f"{where}it is not UTF-8: {error.reason} at byte {error.start}")
        except LineFormatError as error:
            findings.problem(Reason.MALFORMED, f"{where}{error}")
        else:
            lines.take(parsed, where)
    return findings.decoded()


def _lines(payload: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Give the lines that hold something, with the number of the first line of text that each is on.

    Each comes with how many tags it has at most: so many commas stand before its first space.
    """
    number, at = 1, 0
    while at < len(payload):
        match = _LINE.match(payload, at)
        assert match is not None  # noqa: S101 - it matches an empty line too
        line = match[0].strip()
        if line and not line.startswith(b"#"):
            yield number, line, (match["head"] or b"").count(b",")
        number += match[0].count(b"\n") + 1
        at = match.end() + 1


class _Lines:
    """Takes in the lines of one message."""

    def __init__(self, findings: Findings, options: Options, device: str, owners: Owners) -> None:
        self._findings, self._options, self._device, self._owners = findings, options, device, owners

    def take(self, line: Mapping[str, Any], where: str) -> None:
        options, tags = self._options, line["tags"]
        device = next((spell(tags[tag]) for tag in options.tags if tag in tags), self._device)
        if not device:
            self._findings.problem(Reason.NO_IDENTITY, f"{where}it has none of the tags {', '.join(options.tags)}")
            return
        moment = self._findings.when(line["time"], unit=_UNITS[options.precision], where=where)
        if moment is None:
            return
        series = [line["measurement"], *(tags[tag] for tag in options.series if tag in tags)]
        fields = line["fields"]
        alone = fields.keys() == {"value"}
        values = {".".join(series if alone else [*series, name]): _value(fields[name]) for name in reversed(fields)}
        if line["time"] is not None:
            self._drop_others(device, moment, values, tags, where)
        self._findings.reading(device, values, moment, where=where)
        if facts := {tag: tags[tag] for tag in options.facts if tag in tags}:
            self._findings.facts(device, facts)

    def _drop_others(
        self, device: str, moment: Moment, values: dict[str, object], tags: Mapping[str, str], where: str
    ) -> None:
        """Refuse what would overwrite another series: a value at the same moment, of the same name, with other tags.

        The other one may have come in another message: many senders write each line in one of its own.
        """
        series = frozenset(tags.items())
        for metric in list(values):
            if not self._owners.has((device, moment.ts, metric), series):
                del values[metric]
                apart = ", ".join(sorted(tags.keys() - {*self._options.tags, *self._options.series})) or "tags"
                what = f"{shown(metric)} comes twice at one time, with other {apart[:200]}; see the option series"
                self._findings.problem(Reason.BAD_VALUE, f"{where}{what}")


def _value(field: object) -> object:
    return Text(field) if isinstance(field, str) else field


FORMAT = Format(decode, Options)
