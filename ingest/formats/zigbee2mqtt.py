"""Zigbee2MQTT: an object for each device, on a topic that ends in the device's name.

Names may hold `/` and can be changed, so a topic is looked up among the names of `bridge/devices`, the longest first;
the device is its IEEE address. Each message repeats all that the bridge knows of the device: what is as it was in the
message before has the flag `repeated`, since it may be an old measurement.
"""

import re
from collections.abc import Mapping

from contracts.deadletters import Reason
from ingest import jsons
from ingest.context import Context
from ingest.findings import HEALTH, MILLISECONDS, Findings
from ingest.formats import Format
from ingest.identity import spell
from ingest.memory import memory_key
from ingest.outcomes import Arrival, Decoded, Ignored
from ingest.plain import text_of, truth_of, value_of
from ingest.routes import Route
from ingest.values import LARGEST_INTEGER, Refused, shown
from ingest.zigbee import Device, Network, device_key, learn_devices, learn_groups, network_key

REPEATED = {"repeated": ""}
"""Flag of values that are as they were in the message before."""

_HEALTH = frozenset({"linkquality", "battery", "battery_low", "elapsed"})
_NO_METRICS = frozenset({"update", "update_available", "device"})
_COMMANDS = frozenset({"set", "get"})
_MOST_LEVELS = 32
_MOST_VALUES = 500
_LONGEST = 200
_ADDRESS = re.compile(r"0x[0-9a-f]{16}")


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode what a device sent, or what the bridge says of its devices."""
    findings = Findings(arrival, route, context)
    base, levels = "/".join(route.levels[: route.base]), route.levels[route.base :]
    if not levels:
        findings.ignore(Ignored.UNSUPPORTED)
        return findings.decoded()
    if levels[0] == "bridge":
        _bridge(findings, arrival, context, base, levels[1:])
        return findings.decoded()
    network = context.memory.get(network_key(base), Network)
    name, rest = _split(levels, network)
    device = route.device or (network.names.get(name) if network and name else None) or _address(levels[0])
    if not _COMMANDS.isdisjoint(rest[:2]):  # of the device, or of one of its endpoints
        findings.ignore(Ignored.COMMAND)
    elif not device:
        _unknown(findings, arrival, network, name, levels)
    elif rest == ("availability",):
        _availability(findings, arrival, spell(device))
    elif len(rest) > 1:
        findings.ignore(Ignored.UNSUPPORTED)
    else:
        _values(findings, arrival, context, (base, device), rest)
    return findings.decoded()


def _split(levels: tuple[str, ...], network: Network | None) -> tuple[str, tuple[str, ...]]:
    """Split levels into the longest name that is known, of a device or group, and what follows it."""
    if network is not None:
        for size in range(min(len(levels), _MOST_LEVELS), 0, -1):
            name = "/".join(levels[:size])
            if name in network.names or name in network.groups:
                return name, levels[size:]
    at = next((at for at, level in enumerate(levels) if at and level in (*_COMMANDS, "availability")), 1)
    return "", levels[at:]


def _address(name: str) -> str | None:
    """Give a name that is an IEEE address itself, as all are until somebody changes them."""
    return name.lower() if _ADDRESS.fullmatch(name.lower()) else None


def _unknown(findings: Findings, arrival: Arrival, network: Network | None, name: str, levels: tuple[str, ...]) -> None:
    if name:  # a group: its members tell their own state
        findings.ignore(Ignored.UNSUPPORTED)
    elif levels[-1] == "availability":
        findings.ignore(Ignored.METADATA)
    elif not arrival.payload:
        findings.ignore(Ignored.EMPTY)
    elif arrival.retained:
        findings.left_out(Ignored.RETAINED_UNTIMED)
    else:
        known = "has not come yet" if network is None else "does not have it"
        findings.problem(
            Reason.NO_IDENTITY, f"{shown('/'.join(levels))} begins with no known name: bridge/devices {known}"
        )


def _bridge(findings: Findings, arrival: Arrival, context: Context, base: str, levels: tuple[str, ...]) -> None:
    """Take in what the bridge says; of what cannot be read nothing is lost."""
    topic = "/".join(levels)
    if topic == "state":
        _availability(findings, arrival, spell(*base.split("/")))
        return
    kinds = {"request": Ignored.COMMAND, "response": Ignored.COMMAND, "event": Ignored.EVENT}
    findings.ignore(kinds.get(levels[0] if levels else "", Ignored.METADATA))
    if topic not in ("devices", "groups") or arrival.replayed:
        return
    try:
        body = jsons.read(arrival.payload)
    except jsons.UnreadableError:
        body = None
    if not isinstance(body, list):
        findings.ignore(Ignored.UNSUPPORTED)
    elif topic == "devices":
        for device, facts in learn_devices(context.memory, base, body):
            findings.facts(spell(device), facts)
    else:
        learn_groups(context.memory, base, body)


def _availability(findings: Findings, arrival: Arrival, device: str) -> None:
    """Take in `online` or `offline`, plain or as `{"state": …}`."""
    text = text_of(arrival.payload)
    if isinstance(text, str) and text.startswith("{"):
        try:
            state = jsons.read(arrival.payload).get("state")
        except jsons.UnreadableError:
            state = None
        text = state if isinstance(state, str) else "?"
    if text == "":
        findings.ignore(Ignored.EMPTY)
    elif isinstance(text, str) and text.lower() in ("online", "offline"):
        findings.state(device, online=truth_of(text) is True)
    else:
        findings.problem(Reason.MALFORMED, "the availability is neither online nor offline")


def _values(
    findings: Findings, arrival: Arrival, context: Context, whose: tuple[str, str], rest: tuple[str, ...]
) -> None:
    """Take in a device's object, or one property that stands on a topic of its own."""
    base, device = whose
    known = context.memory.get(device_key(base, device), Device) or Device()
    body = _attribute(findings, arrival, context, known, rest[0]) if rest else _object(findings, arrival)
    if body is None:
        return
    stated = body.get("last_seen")
    unit = None if isinstance(stated, str) else MILLISECONDS
    moment = findings.when(stated, unit=unit, device=spell(device))
    fields = {name: _typed(value, known.words.get(name)) for name, value in body.items() if name != "last_seen"}
    for name in [name for name in fields if name.partition("-")[0] in _NO_METRICS]:  # `update-state` on its own topic
        del fields[name]
        findings.left_out(Ignored.METADATA)
    if body and not fields:
        findings.ignore(Ignored.METADATA)
    if fields.get("action") == "":  # an action is over: no action
        fields["action"] = None
    if moment is not None:
        repeated = _repeated(arrival, context, memory_key("zigbee2mqtt", base, device, "last"), fields)
        parts: dict[tuple[bool, bool], dict[str, object]] = {}
        for name, value in fields.items():
            health = name in _HEALTH or name in known.health
            parts.setdefault((health, name in repeated), {})[name] = value
        for (health, old), part in parts.items():
            flags = (HEALTH if health else {}) | (REPEATED if old else {})
            findings.reading(spell(device), part, moment, units=known.units, flags=flags)


def _object(findings: Findings, arrival: Arrival) -> dict[str, object] | None:
    if not arrival.payload:
        return None
    try:
        body = jsons.read(arrival.payload)
    except jsons.UnreadableError as error:
        findings.problem(error.reason, str(error))
        return None
    if isinstance(body, dict):
        return body
    findings.problem(Reason.MALFORMED, f"the payload is {jsons.kind(body)}, not an object")
    return None


def _attribute(
    findings: Findings, arrival: Arrival, context: Context, known: Device, name: str
) -> dict[str, object] | None:
    nested = name.replace("-", ".")
    name = nested if nested in known.nested else name
    if arrival.payload[:1] in (b"{", b"["):
        try:
            return {name: jsons.read(arrival.payload)}
        except jsons.UnreadableError as error:
            findings.problem(error.reason, str(error))
            return None
    value, _ = value_of(arrival.payload, context.limits)
    if isinstance(value, Refused):
        findings.problem(value.reason, f"the value {value.why}")
        return None
    if isinstance(value, Ignored):
        findings.ignore(value)
        return None
    return {name: value}


def _typed(value: object, words: tuple[str, str] | None) -> object:
    """Turn one of the two words of a property that has only these into a boolean."""
    return value == words[0] if words is not None and value in words else value


def _repeated(arrival: Arrival, context: Context, key: str, fields: Mapping[str, object]) -> set[str]:
    """Give the names of values that are as they were, and remember how they are."""
    if arrival.replayed:
        return set()
    # Not worth a write for each message: at worst, the first values after a restart do not say that they are repeated.
    before: dict[str, str] = context.memory.held(key, dict) or {}
    written = {
        name: text
        for name, value in list(fields.items())[:_MOST_VALUES]
        if name.isprintable() and len(text := _written(value)) + len(name) <= _LONGEST
    }
    if len(merged := before | written) <= _MOST_VALUES:
        context.memory.hold(key, merged, sum(map(len, merged)) + sum(map(len, merged.values())))
    return {name for name, text in written.items() if before.get(name) == text}


def _written(value: object) -> str:
    """Write a value so that equal ones are written alike."""
    return repr(float(value)) if type(value) is int and abs(value) <= LARGEST_INTEGER else repr(value)


FORMAT = Format(decode)
