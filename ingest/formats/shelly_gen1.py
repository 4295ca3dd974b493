"""Shelly, first generation: one plain value a message, whose topic names device and metric.

Energy is in watt-minutes, but for the totals of energy meters, which are in Wh; the units say so.
"""

import re

from contracts.deadletters import Reason
from ingest.context import Context
from ingest.findings import HEALTH, Findings
from ingest.formats import Format
from ingest.identity import mac, spell
from ingest.jsons import read_object
from ingest.leaf_units import LeafUnits
from ingest.outcomes import Arrival, Decoded, Ignored, about, ignored, rejected
from ingest.plain import text_of, truth_of, value_of
from ingest.routes import Route
from ingest.times import NO_FLAGS
from ingest.values import Refused

_UNITS = LeafUnits(
    {
        "power": "W",
        "reactive_power": "var",
        "voltage": "V",
        "current": "A",
        "energy": "W.min",
        "returned_energy": "W.min",
        "total": "Wh",
        "total_returned": "Wh",
        "temperature": "degC",
        "ext_temperature": "degC",
        "humidity": "%",
        "ext_humidity": "%",
        "battery": "%",
        "lux": "lx",
        "tilt": "deg",
    }
)
_OVERPOWER = "overpower"
_OUTPUT = re.compile(r"(?:relay|light|color|white)\.[0-9]+")
_IGNORED = {
    "announce": Ignored.METADATA,
    "info": Ignored.METADATA,
    "settings": Ignored.METADATA,
    "act_reasons": Ignored.METADATA,
    "command": Ignored.COMMAND,
    "set": Ignored.COMMAND,
    "input_event": Ignored.EVENT,
    "longpush": Ignored.EVENT,
    # The same readings in another unit, or all in one message.
    "temperature_f": Ignored.REPEAT,
    "ext_temperature_f": Ignored.REPEAT,
    "ext_temperatures": Ignored.REPEAT,
    "ext_humidities": Ignored.REPEAT,
}
_FACTS = {"model": "model", "fw_ver": "firmware", "ip": "ip"}


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode one message of a device."""
    device, *rest = route.levels[route.base :] or ("",)
    if device == "announce" or rest == ["announce"]:
        return _announced(arrival, route, context, device if rest else "")
    if why := next((_IGNORED[level] for level in (device, *rest) if level in _IGNORED), None):
        return ignored(why)
    if not rest:
        return ignored(Ignored.UNSUPPORTED)
    findings = Findings(arrival, route, context)
    device = route.device or spell(device)
    if rest == ["online"]:
        return _online(findings, arrival, device)
    metric = ".".join(rest)
    found = _value(arrival.payload, context, output=_OUTPUT.fullmatch(metric) is not None)
    if isinstance(found, Decoded):
        return about(device, found)
    flags = HEALTH if rest[-1] == "battery" else NO_FLAGS
    if found == _OVERPOWER:  # switched off, by itself
        found, flags = False, {_OVERPOWER: ""}
    findings.reading(device, {metric: found}, units=_UNITS, flags=flags)
    return about(device, findings.decoded())


def _value(payload: bytes, context: Context, *, output: bool) -> object:
    """Give what a payload says, or what becomes of the message if that is nothing; an output is on or off."""
    if payload[:1] == b"{":
        return read_object(payload)
    value, text = value_of(payload, context.limits)
    if isinstance(value, Refused):
        return rejected(value.reason, f"the value {value.why}")
    if isinstance(value, Ignored):
        return None if value is Ignored.NO_VALUE else ignored(value)
    truth = truth_of(text) if output else None
    return truth if truth is not None else value if isinstance(value, bool) else text


def _online(findings: Findings, arrival: Arrival, device: str) -> Decoded:
    text = text_of(arrival.payload)
    if text == "":
        return ignored(Ignored.EMPTY)
    if text not in ("true", "false"):
        return rejected(Reason.MALFORMED, "online is neither true nor false")
    findings.state(device, online=text == "true")
    return findings.decoded()


def _announced(arrival: Arrival, route: Route, context: Context, device: str) -> Decoded:
    """Keep what a device says of itself, on its own topic or on everybody's."""
    body = read_object(arrival.payload)
    if isinstance(body, Decoded):
        return body
    findings = Findings(arrival, route, context)
    named = device or body.get("id")
    if isinstance(named, str):
        facts = {fact: body[name] for name, fact in _FACTS.items() if body.get(name)}
        if isinstance(address := body.get("mac"), str) and (spelled := mac(address)):
            facts["mac"] = spelled
        findings.facts(route.device if device and route.device else spell(named), facts)
    findings.ignore(Ignored.METADATA)
    return findings.decoded()


FORMAT = Format(decode)
