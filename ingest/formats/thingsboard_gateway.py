"""ThingsBoard's gateway API: one message is for many devices, each under its name."""

from collections.abc import Mapping

from contracts.deadletters import Reason
from ingest.context import Context
from ingest.findings import Findings
from ingest.formats import Format
from ingest.identity import spell
from ingest.jsons import kind, read_object
from ingest.outcomes import Arrival, Decoded, Ignored, ignored
from ingest.routes import Route
from ingest.thingsboard import after, take_attributes, take_records
from ingest.values import shown

_BASE = ("v1", "gateway")
_STATES = {"connect": True, "disconnect": False}
_COMMANDS = frozenset({"rpc", "claim"})


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode what a gateway says of the devices behind it."""
    levels = after(route.levels, _BASE)
    if levels is None:
        levels = route.levels[-1:]
    what, more = levels[0] if levels else "", levels[1:]
    if what in _COMMANDS or (what == "attributes" and more):
        return ignored(Ignored.COMMAND)
    if more or not (what in _STATES or what in ("telemetry", "attributes")):
        return ignored(Ignored.UNSUPPORTED)
    body = read_object(arrival.payload)
    if isinstance(body, Decoded):
        return body
    findings = Findings(arrival, route, context)
    if what in _STATES:
        _state(findings, body, online=_STATES[what])
    elif what == "telemetry":
        _telemetry(findings, body)
    else:
        _attributes(findings, body)
    return findings.decoded()


def _telemetry(findings: Findings, body: Mapping[str, object]) -> None:
    for name, records in body.items():
        where = f"{shown(name)}: "
        if isinstance(records, list):
            take_records(findings, _device(findings, name), records, where)
        else:
            findings.problem(Reason.MALFORMED, f"{where}it is {kind(records)}, not an array of records")


def _attributes(findings: Findings, body: Mapping[str, object]) -> None:
    for name, attributes in body.items():
        if isinstance(attributes, dict):
            take_attributes(findings, _device(findings, name), attributes)
        else:
            findings.problem(Reason.MALFORMED, f"{shown(name)}: it is {kind(attributes)}, not an object of attributes")


def _state(findings: Findings, body: Mapping[str, object], *, online: bool) -> None:
    name = body.get("device")
    if not isinstance(name, str):
        findings.problem(Reason.MALFORMED, "device names no device")
        return
    device = _device(findings, name)
    findings.state(device, online=online)
    if isinstance(model := body.get("type"), str):
        findings.facts(device, {"type": model})


def _device(findings: Findings, name: str) -> str:
    """Give the id of a device; its name goes to the registry where the id cannot be the same."""
    device = spell(name)
    if device != name:
        findings.facts(device, {"name": name})
    return device


FORMAT = Format(decode)
