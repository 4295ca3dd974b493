"""rtl_433: what radio sensors of many makers send, one object an event. Names end in their units.

Sensors repeat each packet within a second or two. A packet without a checksum (`mic`) may be noise.
"""

from typing import Any

from contracts.deadletters import Reason
from ingest.context import Context
from ingest.findings import HEALTH, SECONDS, Findings, Moment
from ingest.formats import Format
from ingest.hearings import unless_repeated
from ingest.identity import spell
from ingest.jsons import read_object
from ingest.outcomes import Arrival, Decoded, Ignored, ignored, rejected
from ingest.routes import Route
from ingest.suffixes import once, units_of
from ingest.values import Text

_SAME = 2 * SECONDS
_HEARD = 3_600 * SECONDS
_IDENTITY = ("model", "subtype", "channel", "id")
_NO_METRICS = frozenset({*_IDENTITY, "time", "type", "mic", "mod"})
_HEALTH = frozenset({"battery_ok", "battery_mV", "rssi", "snr", "noise"})
_UNITS = {"humidity": "%", "moisture": "%", "rssi": "dB", "snr": "dB", "noise": "dB"}


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode one event. The same values, one a topic, and the states of the program are left alone."""
    if route.levels[-1] != "events":
        return ignored(Ignored.REPEAT if "devices" in route.levels else Ignored.METADATA)
    body = read_object(arrival.payload)
    if isinstance(body, Decoded):
        return body
    device = route.device or device_of(body)
    if not device:
        return rejected(Reason.MALFORMED, "the event names no model")
    findings = Findings(arrival, route, context)
    host = spell(route.levels[-2]) if len(route.levels) > 1 else ""
    if (moment := findings.when(body.get("time"), device=host)) is not None:
        take(findings, device, body, moment)
    return confirmed(findings.decoded(), arrival, context, body, _SAME)


def device_of(body: dict[str, Any]) -> str:
    """Join what tells a sensor from others, as far as it is there; empty without a model."""
    parts = [str(body[name]) for name in _IDENTITY if isinstance(body.get(name), str | int | float)]
    return spell(*parts) if isinstance(body.get("model"), str) else ""


def take(findings: Findings, device: str, body: dict[str, Any], moment: Moment, gateway: str = "") -> None:
    """Take in the metrics of an event, which a `gateway` may have heard."""
    fields = once({name: body[name] for name in body if name not in _NO_METRICS and not name.startswith("freq")})
    units = units_of(fields) | _UNITS
    findings.facts(device, {"model": body.get("model")})
    findings.reading(device, {name: fields[name] for name in fields if name not in _HEALTH}, moment, units=units)
    health = {name: fields[name] for name in fields if name in _HEALTH}
    if gateway and fields:
        health["gateway"] = Text(gateway)
    findings.reading(device, health, moment, units=units, flags=HEALTH)


def confirmed(decoded: Decoded, arrival: Arrival, context: Context, body: dict[str, Any], same: int) -> Decoded:
    """Give `decoded`, unless it is a repeat, or the first that is heard of a device and may be noise."""
    found = unless_repeated(decoded, arrival, context, same)
    if not found.readings or arrival.replayed or "mic" in body:
        return found
    device = found.readings[0].device
    if context.record_of(device) is None and not context.repeats.seen(("rtl433", device), arrival.received, _HEARD):
        return ignored(Ignored.UNCONFIRMED)
    return found


FORMAT = Format(decode)
