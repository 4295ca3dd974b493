"""ThingsBoard's device API: a device speaks for itself, and its messages do not say which it is.

The broker knows; the route's `device` says where it has written that: in a user property, or in a level that it puts
before the topic. Short topics are read as the long ones.
"""

from contracts.deadletters import Reason
from ingest import jsons
from ingest.context import Context
from ingest.findings import Findings
from ingest.formats import Format
from ingest.outcomes import Arrival, Decoded, Ignored, ignored, rejected
from ingest.routes import Route
from ingest.thingsboard import after, take_attributes, take_records

_LONG, _SHORT = ("v1", "devices", "me"), ("v2",)
_KINDS = {
    ("telemetry",): "telemetry",
    ("t",): "telemetry",
    ("t", "j"): "telemetry",
    ("attributes",): "attributes",
    ("a",): "attributes",
    ("a", "j"): "attributes",
}
_PROTOBUF = frozenset({("t", "p"), ("a", "p")})


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode telemetry or attributes of one device."""
    levels = after(route.levels, _LONG)
    if levels is None:
        levels = after(route.levels, _SHORT)
    if levels in _PROTOBUF:
        return ignored(Ignored.UNSUPPORTED)  # in a schema of the device's own
    if levels is None:  # a topic of the operator's choice
        levels = ("provision",) if "provision" in route.levels else ("telemetry",)
    what = _KINDS.get(levels)
    if what is None:
        return ignored(Ignored.COMMAND)
    if not arrival.payload:
        return ignored(Ignored.EMPTY)
    if not route.device:
        return rejected(Reason.NO_IDENTITY, "the broker has not said which device this is")
    try:
        body = jsons.read(arrival.payload)
    except jsons.UnreadableError as error:
        return rejected(error.reason, str(error))
    findings = Findings(arrival, route, context)
    if what == "telemetry" and isinstance(body, dict | list):
        take_records(findings, route.device, body if isinstance(body, list) else [body])
    elif isinstance(body, dict):
        take_attributes(findings, route.device, body)
    else:
        findings.problem(Reason.MALFORMED, f"the payload is {jsons.kind(body)}, not an object")
    return findings.decoded()


FORMAT = Format(decode)
