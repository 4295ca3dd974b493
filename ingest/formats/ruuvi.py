"""Ruuvi Gateway: raw Bluetooth adverts of sensors, as several gateways hear them.

A measurement is broadcast several times, until the next. Its number tells it from the others; where a format has no
number, its bytes do.
"""

from typing import Any

from contracts.deadletters import Reason
from ingest import ruuvi_adverts
from ingest.context import Context
from ingest.findings import HEALTH, SECONDS, Findings
from ingest.formats import Format
from ingest.formats.status import online_of
from ingest.identity import mac, spell
from ingest.jsons import BOM, read_object
from ingest.outcomes import Arrival, Decoded, Ignored, about, ignored, rejected
from ingest.routes import Route
from ingest.values import Text

_SAME = 60 * SECONDS
_LONGEST = 2 * 1650
"""Hex digits of the longest advert that Bluetooth has."""


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode one advert, or the status of a gateway. The last levels of the topic are gateway and sensor."""
    name = route.levels[-1]
    if name == "gw_status":
        return _status(arrival, route, context)
    device = route.device or spell(mac(name) or name)
    return about(device, _advert(arrival, route, context, device))


def _advert(arrival: Arrival, route: Route, context: Context, device: str) -> Decoded:
    body = read_object(arrival.payload)
    if isinstance(body, Decoded):
        return body
    heard = _heard(body)
    if isinstance(heard, Decoded):
        return heard
    findings = Findings(arrival, route, context)
    moment = findings.when(body.get("ts", body.get("gwts")), unit=SECONDS)
    if moment is None:
        return findings.decoded()
    identity = ("ruuvi", device, body["data"] if heard.sequence is None else heard.sequence)
    if not arrival.replayed and context.repeats.seen(identity, arrival.received, _SAME):
        return ignored(Ignored.REPEAT)
    findings.reading(device, heard.measured, moment, units=ruuvi_adverts.UNITS)
    health = {**heard.health, "sequence": heard.sequence, "rssi": body.get("rssi")}
    gateway = body.get("gw_mac", route.levels[-2] if len(route.levels) > 1 else None)
    if isinstance(gateway, str):
        health["gateway"] = Text(mac(gateway) or gateway)
    findings.reading(device, health, moment, units=ruuvi_adverts.UNITS | {"rssi": "dBm"}, flags=HEALTH)
    return findings.decoded()


def _heard(body: dict[str, Any]) -> ruuvi_adverts.Broadcast | Decoded:
    try:
        data = ruuvi_adverts.broadcast(_bytes(body.get("data")))
        heard = None if data is None else ruuvi_adverts.read(data)
    except ValueError as error:
        return rejected(Reason.MALFORMED, f"data: {error}")
    return heard or ignored(Ignored.FOREIGN_ADVERT if data is None else Ignored.UNSUPPORTED)


def _bytes(digits: object) -> bytes:
    """Read hex. Raises ValueError."""
    if not isinstance(digits, str) or not digits or len(digits) > _LONGEST:
        raise ValueError("it is no advert in hex")
    return bytes.fromhex(digits)


def _status(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Read a word, or `{"state": word}`."""
    payload = arrival.payload
    if payload.removeprefix(BOM).lstrip()[:1] == b"{":
        body = read_object(payload)
        if isinstance(body, Decoded):
            return body
        payload = str(body.get("state")).encode("utf-8", "replace")
    online = online_of(payload)
    if isinstance(online, Decoded):
        return online
    gateway = route.levels[-2] if len(route.levels) > 1 else ""
    findings = Findings(arrival, route, context)
    findings.state(spell(mac(gateway) or gateway), online=online)
    return findings.decoded()


FORMAT = Format(decode)
