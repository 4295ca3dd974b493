"""AWS IoT device shadows: what a thing last reported of itself, each field with the time at which it did.

A report comes as an `update`, again as `update/accepted`, and once more in `update/documents`: one of them is read.
"""

from typing import Any, Literal

import msgspec

from contracts.deadletters import Reason
from ingest.context import Context
from ingest.findings import SECONDS, Findings
from ingest.formats import Format
from ingest.identity import spell
from ingest.jsons import inner, kind, read_object
from ingest.limits import Limits
from ingest.outcomes import Arrival, Decoded, Ignored, about, ignored, rejected
from ingest.routes import Route
from ingest.values import shown

_SHADOW = "shadow"
_VERBS = frozenset({"update", "get", "delete", "name"})
_REPORTS = {(): "update", ("accepted",): "accepted", ("documents",): "documents"}


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`read`: which of the topics that repeat a report is read. `update` alone has no times."""

    read: Literal["accepted", "update", "documents"] = "accepted"


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode what a thing reported; what it is asked for (`desired`, `delta`) is none of ours."""
    levels = route.levels
    at = next((at for at in range(1, len(levels) - 1) if levels[at] == _SHADOW and levels[at + 1] in _VERBS), None)
    if at is None:
        return ignored(Ignored.UNSUPPORTED)
    thing, rest = levels[at - 1], levels[at + 1 :]
    name = ""
    if rest[0] == "name":
        name, rest = "".join(rest[1:2]), rest[2:]
    assert isinstance(route.options, Options)  # noqa: S101 - the registry reads them as this type
    report = _REPORTS.get(rest[1:]) if rest[:1] == ("update",) else None
    if report != route.options.read:
        return ignored(Ignored.COMMAND if report is None else Ignored.REPEAT)
    device = route.device or spell(thing)
    body = read_object(arrival.payload)
    if isinstance(body, Decoded):
        return about(device, body)
    document = inner(body, "current") if report == "documents" else body
    if "state" in document and document["state"] is None:
        return ignored(Ignored.NO_VALUE)  # everything was deleted
    if not isinstance(document.get("state"), dict):
        return about(device, rejected(Reason.MALFORMED, "there is no state"))
    findings = Findings(arrival, route, context)
    reported = document["state"].get("reported")
    if not reported:
        findings.ignore(Ignored.NO_VALUE if "reported" in document["state"] else Ignored.COMMAND)
    elif not isinstance(reported, dict):
        findings.problem(Reason.MALFORMED, f"what is reported is {kind(reported)}, not an object")
    else:
        document = document | {"timestamp": body.get("timestamp")}
        _take(findings, device, name, document, context.limits)
    return about(device, findings.decoded())


def _take(findings: Findings, device: str, name: str, document: dict[str, Any], limits: Limits) -> None:
    """Take in the fields of a document, those of one time together. `name` is that of the shadow."""
    by_time: dict[object, dict[str, object]] = {}
    stated = document.get("timestamp")
    otherwise = stated if isinstance(stated, int | float | str) else None

    def walk(field: str, value: object, about: object, depth: int) -> None:
        stamp = about.get("timestamp") if isinstance(about, dict) else None
        # A name that is too long already would only be copied for each value in it; it is refused as it is.
        if isinstance(value, dict | list) and value and len(field) <= limits.name_bytes:
            if depth >= limits.depth:
                findings.problem(Reason.TOO_LARGE, f"{shown(field)} is nested deeper than {limits.depth}")
                return
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, one in items:
                further = f"{field}.{key if isinstance(value, dict) else key + 1}" if field else str(key)
                walk(further, one, _about(about, key), depth + 1)
        else:
            by_time.setdefault(stamp if isinstance(stamp, int | float) else otherwise, {})[field] = value

    walk(name, document["state"]["reported"], inner(document, "metadata").get("reported"), 0 if not name else 1)
    for time, fields in by_time.items():
        if (moment := findings.when(time, unit=SECONDS)) is not None:
            findings.reading(device, fields, moment)


def _about(metadata: object, key: str | int) -> object:
    """Give the metadata of a field or element, which is built as the state is."""
    if isinstance(metadata, dict) and isinstance(key, str):
        return metadata.get(key)
    if isinstance(metadata, list) and isinstance(key, int) and key < len(metadata):
        return metadata[key]
    return None


FORMAT = Format(decode, Options)
