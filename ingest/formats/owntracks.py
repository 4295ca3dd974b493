"""OwnTracks: where people's phones are. `_type` says what a message is; one that is not known never becomes metrics.

Only the fields that are figures are read: others are codes, and labels that somebody chose.
"""

from typing import Any

from contracts.deadletters import Reason
from ingest.context import Context
from ingest.findings import HEALTH, SECONDS, Findings
from ingest.formats import Format
from ingest.identity import spell
from ingest.jsons import read_object
from ingest.outcomes import Arrival, Decoded, Ignored, about, ignored, rejected
from ingest.routes import Route

_UNITS = {"lat": "deg", "lon": "deg", "acc": "m", "alt": "m", "vac": "m", "vel": "km/h", "cog": "deg", "p": "kPa"}
_PRESENT = 60 * SECONDS
_POSITION = {"lat": 90, "lon": 180}
_OTHERS = {
    "transition": Ignored.EVENT,
    "beacon": Ignored.EVENT,
    "steps": Ignored.EVENT,
    "waypoint": Ignored.METADATA,
    "waypoints": Ignored.METADATA,
    "configuration": Ignored.METADATA,
    "status": Ignored.METADATA,
    "dump": Ignored.METADATA,
    "cmd": Ignored.COMMAND,
    "request": Ignored.COMMAND,
    "encrypted": Ignored.PRIVATE,
}


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode one message of an app; user and device are the first two levels of the topic that vary."""
    device = route.device or spell(*route.levels[route.base :][:2])
    return about(device, _decode(arrival, route, context, device))


def _decode(arrival: Arrival, route: Route, context: Context, device: str) -> Decoded:
    body = read_object(arrival.payload)
    if isinstance(body, Decoded):
        return body
    what = body.get("_type")
    if not isinstance(what, str):
        return rejected(Reason.MALFORMED, "there is no _type")
    if what not in ("location", "lwt", "card"):
        return ignored(_OTHERS.get(what, Ignored.UNSUPPORTED))
    findings = Findings(arrival, route, context)
    if what == "location":
        _location(findings, device, body)
        # Nothing else says that an app is back whose will said that it was gone.
        live = not (arrival.retained or arrival.replayed)
        if live and not context.repeats.seen(("owntracks", "here", device), arrival.received, _PRESENT):
            findings.state(device, online=True)
    elif what == "lwt":
        # Its own time is that of the connection that is lost now.
        findings.state(device, online=False, reason="lwt")
    else:
        findings.facts(device, {"name": body.get("name"), "label": body.get("tid")})
        findings.ignore(Ignored.METADATA)
    return findings.decoded()


def _location(findings: Findings, device: str, body: dict[str, Any]) -> None:
    moment = findings.when(body.get("tst"), unit=SECONDS)
    if moment is None:
        return
    figures = {name: body[name] for name in _UNITS if name in body}
    if not all(_is_within(body.get(name), most) for name, most in _POSITION.items()):
        # Half a position is none; nor is one that is not on this planet.
        findings.problem(Reason.BAD_VALUE, "lat and lon are no position")
        figures = {name: value for name, value in figures.items() if name not in _POSITION and name != "acc"}
    findings.reading(device, figures, moment, units=_UNITS)
    if "batt" in body:
        findings.reading(device, {"batt": body["batt"]}, moment, units={"batt": "%"}, flags=HEALTH)
    if "tid" in body:
        findings.facts(device, {"label": body["tid"]})


def _is_within(value: object, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -most <= value <= most


FORMAT = Format(decode)
