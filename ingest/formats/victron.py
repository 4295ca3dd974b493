"""Victron Venus: one value a topic, `N/{portal}/{service}/{instance}/{path...}`. A device is an instance of a service.

The system says nothing unless somebody asks it to at least once a minute. Where the option `keepalive` is on, that is
done here whenever it says anything, as it always does of its heart beat: at first for all values, later for changes.
"""

import msgspec

from contracts.deadletters import Reason
from ingest.context import Context
from ingest.findings import SECONDS, Findings
from ingest.formats import Format
from ingest.identity import spell
from ingest.jsons import UnreadableError, read
from ingest.outcomes import Arrival, Decoded, Ignored, about
from ingest.routes import Route

_KEEPALIVE = 30 * SECONDS
_ALL_AGAIN = 3_600 * SECONDS
_CHANGES_ALONE = b'{"keepalive-options": ["suppress-republish"]}'
_LEAVING = 5 * SECONDS
_ABOUT_THE_SYSTEM = frozenset({"keepalive", "full_publish_completed", "heartbeat"})
_FACTS = {
    "ProductName": "model",
    "FirmwareVersion": "firmware",
    "HardwareVersion": "hardware",
    "CustomName": "name",
    "ProductId": "product_id",
    "Serial": "serial",
}
_ABOUT = frozenset({"Mgmt", "DeviceInstance"})
_PRESENT = 60 * SECONDS
_UNITS = {
    "Voltage": "V",
    "Current": "A",
    "Power": "W",
    "Energy": "kWh",
    "Soc": "%",
    "Temperature": "degC",
    "Frequency": "Hz",
    "ConsumedAmphours": "Ah",
    "TimeToGo": "s",
    "Yield": "kWh",
    "V": "V",
    "I": "A",
    "P": "W",
    "S": "VA",
    "F": "Hz",
}
"""By a part of the path: in `Ac/Energy/Forward` it is not the last."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`keepalive`: ask each system that speaks to go on, at most every 30 s."""

    keepalive: bool = False


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode one value; an empty payload says that the device has left."""
    portal, *rest = route.levels[route.base :] or ("",)
    findings = Findings(arrival, route, context)
    device = ""
    _keep_alive(findings, arrival, route, context, portal)
    if len(rest) < 3:  # noqa: PLR2004 - service, instance and a path
        findings.ignore(Ignored.COMMAND if rest and rest[0] in _ABOUT_THE_SYSTEM else Ignored.UNSUPPORTED)
    elif rest[0] == "settings" or rest[2] in _ABOUT:
        findings.ignore(Ignored.METADATA)
    else:
        device = route.device or spell(portal, rest[0], rest[1])
        if arrival.payload:
            found = _value(findings, arrival.payload, device, rest[2:])
            live = found and not (arrival.retained or arrival.replayed)
            # Nothing but its values says that a device is back which was gone.
            if live and not context.repeats.seen(("victron", "here", device), arrival.received, _PRESENT):
                findings.state(device, online=True)
        else:
            _left(findings, arrival, context, device)
    return about(device, findings.decoded())


def _value(findings: Findings, payload: bytes, device: str, path: list[str]) -> bool:
    """Take in a value; returns whether it is one that is measured."""
    try:
        body = read(payload)
    except UnreadableError as error:
        findings.problem(error.reason, str(error))
        return False
    if not isinstance(body, dict) or "value" not in body:
        findings.problem(Reason.MALFORMED, "the payload is no object with a value")
        return False
    value = body["value"]
    if len(path) == 1 and path[0] in _FACTS:
        findings.facts(device, {_FACTS[path[0]]: value} if value else {})
        findings.ignore(Ignored.METADATA)
        return False
    metric = ".".join(path)
    unit = next((_UNITS[part] for part in reversed(path) if part in _UNITS), None)
    findings.reading(device, {metric: value}, units={metric: unit} if unit else {})
    return value not in (None, [], "")


def _left(findings: Findings, arrival: Arrival, context: Context, device: str) -> None:
    """Say once that a device is gone: each of its values, hundreds maybe, says so at the same moment."""
    findings.ignore(Ignored.REPEAT)
    if not context.repeats.seen(("victron", "left", device), arrival.received, _LEAVING):
        findings.state(device, online=False, reason="left the bus")


def _keep_alive(findings: Findings, arrival: Arrival, route: Route, context: Context, portal: str) -> None:
    options = route.options
    if not (isinstance(options, Options) and options.keepalive and portal and route.base):
        return
    if arrival.replayed or arrival.retained:
        return
    # What stands before N, where another broker's topics are put below a prefix, stands before R too.
    topic = "/".join((*route.levels[: route.base - 1], "R", portal, "keepalive"))
    if not context.repeats.seen(("victron", "keepalive", topic), arrival.received, _KEEPALIVE):
        known = context.repeats.seen(("victron", "all", topic), arrival.received, _ALL_AGAIN)
        findings.request(topic, _CHANGES_ALONE if known else b"")


FORMAT = Format(decode, Options)
