"""The Things Stack v3: uplinks, joins and positions of LoRaWAN devices, told apart by what the message holds.

The network server leaves out fields that are zero. The names of the radio figures begin with `radio.`, since those of a
device's own measurements are whatever somebody's codec calls them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from contracts.deadletters import Reason
from ingest import lorawan
from ingest.context import Context
from ingest.findings import HEALTH, Findings, Moment
from ingest.formats import Format
from ingest.identity import spell
from ingest.jsons import inner, kind, read_object
from ingest.outcomes import Arrival, Decoded, Ignored, about, ignored, rejected
from ingest.routes import Route
from ingest.values import Text

_NORMALIZED_UNITS = {
    "air.temperature": "degC",
    "air.relativeHumidity": "%",
    "air.pressure": "hPa",
    "air.co2": "ppm",
    "air.lightIntensity": "lx",
    "soil.depth": "cm",
    "soil.moisture": "%",
    "soil.temperature": "degC",
    "soil.ec": "dS/m",
    "soil.n": "ppm",
    "soil.p": "ppm",
    "soil.k": "ppm",
    "rain.intensity": "mm/h",
    "rain.cumulative": "mm",
    "wind.speed": "m/s",
    "wind.direction": "deg",
    "battery": "V",
}
_MOST_MEASUREMENTS = 1_000
"""More than any frame can hold."""
_OTHERS = {
    "uplink_normalized": Ignored.REPEAT,  # of the uplink's own normalized_payload
    "downlink_ack": Ignored.COMMAND,
    "downlink_nack": Ignored.COMMAND,
    "downlink_sent": Ignored.COMMAND,
    "downlink_failed": Ignored.COMMAND,
    "downlink_queued": Ignored.COMMAND,
    "downlink_queue_invalidated": Ignored.COMMAND,
    "downlinks": Ignored.COMMAND,  # somebody's request to send some
    "service_data": Ignored.METADATA,
}


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode one message of the application server."""
    body = read_object(arrival.payload)
    if isinstance(body, Decoded):
        return about(route.device or _named(route.levels), body)
    if other := _OTHERS.keys() & body.keys():
        return ignored(_OTHERS[min(other)])
    device = route.device or _device(body)
    if not device:
        return rejected(Reason.MALFORMED, "end_device_ids names no application and device")
    findings = Findings(arrival, route, context)
    if isinstance(eui := inner(body, "end_device_ids").get("dev_eui"), str):
        findings.facts(device, {"eui": eui.lower()})
    flags = {"simulated": ""} if body.get("simulated") is True else {}
    if "uplink_message" in body:
        _uplink(findings, device, body, flags)
    elif "join_accept" in body:
        stated = inner(body, "join_accept").get("received_at", body.get("received_at"))
        if (moment := findings.when(stated)) is not None:
            findings.state(device, moment, online=True, reason="join")
    elif "location_solved" in body:
        location = lorawan.position(inner(inner(body, "location_solved"), "location"))
        if (moment := findings.when(body.get("received_at"))) is not None:
            findings.reading(device, location, moment, units=lorawan.POSITION_UNITS, flags=flags)
    else:
        return ignored(Ignored.UNSUPPORTED)
    return about(device, findings.decoded())


def _named(levels: Sequence[str]) -> str:
    """Give the device that a topic names, `…/APPLICATION@TENANT/devices/DEVICE/…`; empty where it names none."""
    at = levels.index("devices") if "devices" in levels else 0
    return spell(levels[at - 1].partition("@")[0], levels[at + 1]) if 0 < at < len(levels) - 1 else ""


def _device(body: dict[str, Any]) -> str:
    ids = inner(body, "end_device_ids")
    names = inner(ids, "application_ids").get("application_id"), ids.get("device_id")
    return spell(names[0], names[1]) if isinstance(names[0], str) and isinstance(names[1], str) else ""


def _uplink(findings: Findings, device: str, body: dict[str, Any], flags: Mapping[str, str]) -> None:
    uplink = inner(body, "uplink_message")
    # Times of gateways are those of clocks that nobody sets; the network server's is the best there is.
    moment = findings.when(uplink.get("received_at", body.get("received_at")))
    if moment is None:
        return
    version = inner(uplink, "version_ids")
    facts = {"model": version.get("model_id"), "firmware": version.get("firmware_version")}
    findings.facts(device, {name: fact for name, fact in facts.items() if fact})
    normalized = uplink.get("normalized_payload")
    decoded = uplink.get("decoded_payload")
    if normalized:
        _normalized(findings, device, normalized, moment, flags)
    elif isinstance(decoded, dict):
        findings.reading(device, decoded, moment, flags=flags)
    elif decoded is not None:
        findings.problem(Reason.MALFORMED, f"decoded_payload is {kind(decoded)}, not an object")
    elif isinstance(raw := uplink.get("frm_payload"), str):
        findings.left_out(Ignored.NO_CODEC)
        findings.reading(device, {"frm_payload": Text(raw)}, moment, flags=flags)
    radio: dict[str, object] = {"f_cnt": uplink.get("f_cnt", 0), "f_port": uplink.get("f_port", 0)}
    if heard := lorawan.best(uplink.get("rx_metadata")):
        radio |= {"rssi": heard.get("rssi", 0)} | {name: heard[name] for name in ("snr",) if name in heard}
        if isinstance(gateway := inner(heard, "gateway_ids").get("gateway_id"), str):
            radio["gateway"] = Text(gateway)
    findings.reading(device, {"radio": radio}, moment, units=lorawan.RADIO_UNITS, flags={**flags, **HEALTH})


def _normalized(findings: Findings, device: str, given: object, uplink: Moment, flags: Mapping[str, str]) -> None:
    """Take in measurements under the names and in the units that the network server gives to all devices alike.

    Those that have no time of their own have the uplink's. If one names again what one before it names, as probes in
    two depths do, its number comes before its names.
    """
    taken: set[str] = set()
    for number, measurement in enumerate(given if isinstance(given, list) else [given], start=1):
        where = f"normalized_payload, element {number}: "
        if number > _MOST_MEASUREMENTS:
            findings.problem(Reason.TOO_LARGE, f"only the first {_MOST_MEASUREMENTS} of normalized_payload are read")
            break
        if not isinstance(measurement, dict):
            findings.problem(Reason.MALFORMED, f"{where}is {kind(measurement)}, not an object")
            continue
        fields = {name: value for name, value in measurement.items() if name != "time"}
        moment: Moment | None = uplink
        units: Mapping[str, str] = _NORMALIZED_UNITS
        if measurement.get("time") is not None:
            moment = findings.when(measurement["time"], where=where)
        elif taken & fields.keys():
            fields = {str(number): fields}
            units = {f"{number}.{name}": unit for name, unit in units.items()}
        else:
            taken |= fields.keys()
        if moment is not None:
            findings.reading(device, fields, moment, units=units, flags=flags, where=where)


FORMAT = Format(decode)
