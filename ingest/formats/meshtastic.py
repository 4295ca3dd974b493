"""Meshtastic, as its nodes write JSON: packets of a mesh, published by each gateway that hears them.

The last level of the topic is the gateway; the device is the node that the packet is `from`. Topics beside `json` hold
protobuf, mostly encrypted.
"""

from typing import Any

from contracts.deadletters import Reason
from ingest.context import Context
from ingest.findings import HEALTH, SECONDS, Findings, Moment
from ingest.formats import Format
from ingest.formats.status import online_of
from ingest.identity import spell
from ingest.jsons import inner, kind, read_object
from ingest.outcomes import Arrival, Decoded, Ignored, ignored, rejected
from ingest.routes import Route
from ingest.values import Text

_VERSION = "2"
_SAME = 600 * SECONDS
_KINDS = {"json": None, "stat": None, "e": Ignored.PRIVATE, "c": Ignored.PRIVATE, "map": Ignored.UNSUPPORTED}
_TYPES = {"text": Ignored.PRIVATE, "traceroute": Ignored.EVENT, "neighborinfo": Ignored.EVENT}
_OF_ITSELF = frozenset({"battery_level", "channel_utilization", "air_util_tx", "uptime_seconds"})
"""Figures by which telemetry of a node itself is told from that of its sensors, which has the same type."""
_FULL = 100
_UNITS = {
    "temperature": "degC",
    "relative_humidity": "%",
    "barometric_pressure": "hPa",
    "lux": "lx",
    "voltage": "V",
    "battery_level": "%",
    "channel_utilization": "%",
    "air_util_tx": "%",
    "uptime_seconds": "s",
    "latitude": "deg",
    "longitude": "deg",
    "altitude": "m",
    "rssi": "dBm",
    "snr": "dB",
}
_TIMES = frozenset({"time", "timestamp"})


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode one packet, or the state of a gateway."""
    levels = route.levels
    at = next((at for at, level in enumerate(levels[:-1]) if level == _VERSION and levels[at + 1] in _KINDS), None)
    if at is None:
        return ignored(Ignored.UNSUPPORTED)
    if (why := _KINDS[levels[at + 1]]) is not None:
        return ignored(why)
    if levels[at + 1] == "stat":
        return _gateway(arrival, route, context)
    if levels[at + 2 : at + 3] == ("mqtt",):
        return ignored(Ignored.COMMAND)  # what somebody wants a gateway to send
    body = read_object(arrival.payload)
    return body if isinstance(body, Decoded) else _packet(arrival, route, context, body)


def _gateway(arrival: Arrival, route: Route, context: Context) -> Decoded:
    online = online_of(arrival.payload)
    if isinstance(online, Decoded):
        return online
    findings = Findings(arrival, route, context)
    findings.state(spell(route.levels[-1]), online=online)
    return findings.decoded()


def _packet(arrival: Arrival, route: Route, context: Context, body: dict[str, Any]) -> Decoded:
    node, what, identity = body.get("from"), body.get("type"), body.get("id")
    if not isinstance(node, int) or isinstance(node, bool):
        return rejected(Reason.MALFORMED, "from is no number")
    if what not in ("telemetry", "position", "nodeinfo"):
        return ignored(_TYPES.get(what, Ignored.UNSUPPORTED) if isinstance(what, str) else Ignored.UNSUPPORTED)
    device = route.device or f"!{node & 0xFFFFFFFF:08x}"  # older ones write it signed
    payload = inner(body, "payload")
    findings = Findings(arrival, route, context)
    if what == "nodeinfo":
        facts = {"name": "longname", "short_name": "shortname", "model": "hardware"}
        findings.facts(device, {fact: payload.get(name) for fact, name in facts.items()})
        findings.ignore(Ignored.METADATA)
        return findings.decoded()
    # When it was sampled, if it says so, is better than when a gateway heard it.
    moment = findings.when(payload.get("time") or body.get("timestamp"), unit=SECONDS)
    if moment is None:
        return findings.decoded()
    if not isinstance(body.get("payload"), dict):
        findings.problem(Reason.MALFORMED, f"the packet's payload is {kind(body.get('payload'))}, not an object")
    fields = {name: value for name, value in payload.items() if name not in _TIMES}
    _figures(findings, device, _position(findings, fields) if what == "position" else fields, moment)
    gateway = body["sender"] if isinstance(body.get("sender"), str) else route.levels[-1]
    radio = {"rssi": body.get("rssi"), "snr": body.get("snr"), "gateway": Text(gateway)}
    if "rssi" in body:
        findings.reading(device, radio, moment, units=_UNITS, flags=HEALTH)
    decoded = findings.decoded()
    known = decoded.readings and isinstance(identity, int) and not arrival.replayed
    if known and context.repeats.seen(("meshtastic", device, str(identity)[:20]), arrival.received, _SAME):
        return ignored(Ignored.REPEAT)
    return decoded


def _position(findings: Findings, fields: dict[str, Any]) -> dict[str, Any]:
    """Give a position's figures, with latitude and longitude in degrees; without both if either is none."""
    found = {}
    for name, most in (("latitude", 90), ("longitude", 180)):
        integer = fields.pop(f"{name}_i", None)
        if isinstance(integer, int) and abs(integer) <= most * 10**7:
            found[name] = integer / 10**7
    if len(found) == 2:  # noqa: PLR2004 - both
        return found | fields
    findings.problem(Reason.BAD_VALUE, "latitude_i and longitude_i are no position")
    return fields


def _figures(findings: Findings, device: str, fields: dict[str, Any], moment: Moment) -> None:
    of_itself = not _OF_ITSELF.isdisjoint(fields)
    level = fields.get("battery_level")
    if isinstance(level, int | float) and level > _FULL:
        # More than full means that there is mains power.
        fields = {**fields, "mains": True, "battery_level": None}
    findings.reading(device, fields, moment, units=_UNITS, flags=HEALTH if of_itself else {})


FORMAT = Format(decode)
