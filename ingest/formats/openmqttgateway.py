"""OpenMQTTGateway and Theengs Gateway: what radio and Bluetooth sensors say, as gateways hear and decode it.

The gateway is not the device: its name is only in the topic, `{gateway}/{receiver}toMQTT[/{device}]`. Phones change
their addresses all the time, so an advert that nobody could decode makes no reading.
"""

from typing import Any

from ingest.context import Context
from ingest.findings import HEALTH, SECONDS, Findings, Moment
from ingest.formats import Format, rtl433
from ingest.formats.status import online_of
from ingest.hearings import RADIO, unless_repeated
from ingest.identity import mac, spell
from ingest.jsons import read_object
from ingest.outcomes import Arrival, Decoded, Ignored, ignored
from ingest.routes import Route
from ingest.values import Text

_SAME = 5 * SECONDS
_SUFFIX = "toMQTT"
_UNITS = {
    "tempc": "degC",
    "tempf": "degF",
    "hum": "%",
    "pres": "hPa",
    "volt": "V",
    "batt": "%",
    "moi": "%",
    "lux": "lx",
    "fer": "uS/cm",
    "rssi": "dBm",
    "distance": "m",
}
_SYSTEM_UNITS = {"uptime": "s", "rssi": "dBm", "freemem": "B", "tempc": "degC"}
_HEALTH = frozenset({"batt", "txpower", *RADIO})
_FACTS = ("name", "model", "brand")
_PASSERS_BY = ("PHONE", "RMAC")  # compared with whatever a body holds
"""Types of what people carry, whose addresses change every quarter of an hour."""
_ABOUT = frozenset(
    {"id", "mac", "mac_type", "adv_type", "model_id", "type", "device", "UTCtime", "unixtime"}
    | {"servicedata", "servicedatauuid", "manufacturerdata", "mfid", "uuid", "major", "minor"}
    | {"acts", "cont", "track", "encr", "cidc", "rdy", "prmac"}
)
"""What an advert holds that is no metric, besides its facts: ids, raw bytes, marks for a decoder of its own."""
_ABOUT_PACKET = frozenset({"UTCtime", "unixtime", "protocol", "duration"})
"""What a packet of rtl_433 holds that is no metric, and may be another in its repeat."""
_CODES = frozenset({"433", "IR", "SRFB", "Pilight", "2G", "RF"})
"""Receivers of what remote controls send: something was pressed, and nothing measured."""


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode what a gateway heard, or what it says of itself."""
    levels = route.levels
    if "commands" in levels:
        return ignored(Ignored.COMMAND)
    receiver = next((at for at, level in enumerate(levels) if at and level.endswith(_SUFFIX)), None)
    if receiver is not None:
        return _received(arrival, route, context, receiver)
    if levels[-1] == "LWT":
        return _presence(arrival, route, context)
    return ignored(Ignored.METADATA if levels[-1] == "version" else Ignored.UNSUPPORTED)


def _presence(arrival: Arrival, route: Route, context: Context) -> Decoded:
    online = online_of(arrival.payload)
    if isinstance(online, Decoded):
        return online
    findings = Findings(arrival, route, context)
    findings.state(spell(*route.levels[-2:-1]), online=online)
    return findings.decoded()


def _received(arrival: Arrival, route: Route, context: Context, at: int) -> Decoded:
    """Decode a message whose receiver is the topic's level `at`, behind the gateway's."""
    body = read_object(arrival.payload)
    if isinstance(body, Decoded):
        return body
    gateway, receiver, rest = route.levels[at - 1], route.levels[at].removesuffix(_SUFFIX), route.levels[at + 1 :]
    findings = Findings(arrival, route, context)
    moment = findings.when(body.get("unixtime", body.get("UTCtime")), unit=SECONDS)
    if moment is None:
        return findings.decoded()
    if receiver in _CODES:
        return ignored(Ignored.EVENT)
    if receiver == "SYS":
        _system(findings, spell(gateway), body, moment)
        return findings.decoded()
    if receiver == "RTL_433":
        body = {name: value for name, value in body.items() if name not in _ABOUT_PACKET}
        if device := route.device or rtl433.device_of(body):
            rtl433.take(findings, device, body, moment, gateway)
        return rtl433.confirmed(findings.decoded(), arrival, context, body, _SAME)
    device = route.device or _device(body.get("id"), rest)
    if not device:
        findings.ignore(Ignored.UNSUPPORTED)
    elif body.get("type") in _PASSERS_BY and context.record_of(device) is None:
        findings.ignore(Ignored.FOREIGN_ADVERT)
    else:
        _sensor(findings, device, body, gateway, moment)
    return unless_repeated(findings.decoded(), arrival, context, _SAME)


def _system(findings: Findings, gateway: str, body: dict[str, Any], moment: Moment) -> None:
    facts = {"model": "env", "firmware": "version", "ip": "ip", "mac": "mac"}
    findings.facts(gateway, {fact: body[field] for fact, field in facts.items() if field in body})
    others = {*facts.values(), "modules", "UTCtime", "unixtime"}
    health = {name: value for name, value in body.items() if name not in others}
    findings.reading(gateway, health, moment, units=_SYSTEM_UNITS, flags=HEALTH)


def _device(stated: object, rest: tuple[str, ...]) -> str:
    name = stated if isinstance(stated, str) and stated else "".join(rest[-1:])
    return spell(mac(name) or name)


def _sensor(findings: Findings, device: str, body: dict[str, Any], gateway: str, moment: Moment) -> None:
    fields = {name: value for name, value in body.items() if name not in _ABOUT and name not in _FACTS}
    if "tempc" in fields:
        fields.pop("tempf", None)
    measured = {name: value for name, value in fields.items() if name not in RADIO and name != "txpower"}
    if not measured:
        findings.ignore(Ignored.UNDECODED_ADVERT)
        return
    findings.facts(device, {name: body[name] for name in _FACTS if name in body})
    health = {name: fields.pop(name) for name in _HEALTH if name in fields} | {"gateway": Text(gateway)}
    findings.reading(device, fields, moment, units=_UNITS)
    findings.reading(device, health, moment, units=_UNITS, flags=HEALTH)


FORMAT = Format(decode)
