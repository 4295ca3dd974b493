"""ChirpStack v4: events of LoRaWAN devices, in JSON or, where the server is set to it, in protobuf on the same topics.

The last level of the topic is the event. Fields that are zero may be left out. The names of the radio figures begin
with `radio.`, since those of a device's own measurements are whatever somebody's codec calls them.
"""

from collections.abc import Sequence
from typing import Any

from contracts.deadletters import Reason
from ingest import chirpstack_events, lorawan
from ingest.context import Context
from ingest.findings import HEALTH, SECONDS, Findings, Moment
from ingest.formats import Format
from ingest.identity import spell
from ingest.jsons import BOM, inner, kind, read_object
from ingest.outcomes import Arrival, Decoded, Ignored, about, ignored, rejected
from ingest.routes import Route
from ingest.values import Text

_OTHERS = {"ack": Ignored.COMMAND, "txack": Ignored.COMMAND, "integration": Ignored.EVENT}
_SAME = 60 * SECONDS
_LEVELS_TO_APPLICATION = 5


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode one event."""
    event = route.levels[-1]
    if (why := _other(route.levels)) is not None:
        return ignored(why)
    body = _read(arrival.payload, event)
    if isinstance(body, Decoded):
        return about(route.device or _named(route.levels), body)
    info = inner(body, "deviceInfo")
    eui = info.get("devEui")
    if not isinstance(eui, str) or not eui:
        version_3 = "devEUI" in body or "applicationID" in body
        return ignored(Ignored.UNSUPPORTED) if version_3 else rejected(Reason.MALFORMED, "there is no devEui")
    device = route.device or spell(eui.lower())
    findings = Findings(arrival, route, context)
    moment = findings.when(body.get("time"), unit=SECONDS)
    if moment is None:
        return about(device, findings.decoded())
    identity = ("chirpstack", device, event, str(body.get("deduplicationId"))[:64])
    if not arrival.replayed and body.get("deduplicationId") and context.repeats.seen(identity, arrival.received, _SAME):
        return ignored(Ignored.REPEAT)
    facts = {"name": "deviceName", "model": "deviceProfileName", "application": "applicationName"}
    findings.facts(device, {fact: info[field] for fact, field in facts.items() if info.get(field)})
    findings.facts(device, {f"tag.{tag}": value for tag, value in inner(info, "tags").items()})
    _take(findings, device, event, body, moment)
    return findings.decoded()


def _named(levels: Sequence[str]) -> str:
    """Give the device that a topic names, `…/device/EUI/event/EVENT`; empty where it names none."""
    return spell(levels[-3].lower()) if len(levels) > 3 and levels[-4] == "device" else ""  # noqa: PLR2004 - as said


def _other(levels: tuple[str, ...]) -> Ignored | None:
    """Tell by the topic what is no event of a device, or none of this version; None if it is one."""
    if "command" in levels[-2:-1]:
        return Ignored.COMMAND
    # Version 3 has the same topics, with a number for the application, and other names in its events.
    version_3 = len(levels) > _LEVELS_TO_APPLICATION and levels[-_LEVELS_TO_APPLICATION].isdigit()
    if version_3 or levels[-1] not in chirpstack_events.EVENTS:
        return _OTHERS.get(levels[-1], Ignored.UNSUPPORTED)
    return None


def _read(payload: bytes, event: str) -> dict[str, Any] | Decoded:
    if not payload or payload.removeprefix(BOM)[:1] == b"{":
        return read_object(payload)
    try:
        return chirpstack_events.read(event, payload)
    except ValueError as error:
        return rejected(Reason.MALFORMED, f"the payload is neither a JSON object nor protobuf: {error}")


def _take(findings: Findings, device: str, event: str, body: dict[str, Any], moment: Moment) -> None:
    if event == "up":
        _uplink(findings, device, body, moment)
    elif event == "status":
        health = {"margin": body.get("margin", 0), "externalPowerSource": body.get("externalPowerSource", False)}
        if not (body.get("externalPowerSource") is True or body.get("batteryLevelUnavailable") is True):
            health["batteryLevel"] = body.get("batteryLevel")
        findings.reading(device, health, moment, units={"margin": "dB", "batteryLevel": "%"}, flags=HEALTH)
    elif event == "join":
        findings.state(device, moment, online=True, reason="join")
    elif event == "location":
        location = lorawan.position(inner(body, "location"))
        findings.reading(device, location, moment, units=lorawan.POSITION_UNITS)
    elif body.get("level") == "ERROR":
        log = {name: Text(body[name]) for name in ("code", "description") if isinstance(body.get(name), str)}
        findings.reading(device, {"log": log}, moment, flags=HEALTH)
    else:
        findings.ignore(Ignored.EVENT)


def _uplink(findings: Findings, device: str, body: dict[str, Any], moment: Moment) -> None:
    decoded = body.get("object")
    if isinstance(decoded, dict):
        findings.reading(device, decoded, moment)
    elif decoded is not None:
        findings.problem(Reason.MALFORMED, f"object is {kind(decoded)}")
    elif isinstance(raw := body.get("data"), str):
        findings.left_out(Ignored.NO_CODEC)
        findings.reading(device, {"data": Text(raw)}, moment)
    radio: dict[str, object] = {name: body.get(name, 0) for name in ("fCnt", "fPort", "dr")}
    if heard := lorawan.best(body.get("rxInfo")):
        radio |= {"rssi": heard.get("rssi", 0), "snr": heard.get("snr", 0)}
        if isinstance(gateway := heard.get("gatewayId"), str):
            radio["gateway"] = Text(gateway)
    findings.reading(device, {"radio": radio}, moment, units=lorawan.RADIO_UNITS, flags=HEALTH)


FORMAT = Format(decode)
