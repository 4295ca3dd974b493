"""Homie 3 and 4: each property on a topic of its own, and on further ones what it is.

`BASE/DEVICE/NODE/PROPERTY` holds a value; levels that begin with `$` tell about the level before them. Nearly all of it
is retained: a new subscription brings the old values again, which make no readings, and the attributes, which are
remembered. Version 5, on `BASE/5/…`, describes a device in one document and is not read.
"""

from collections.abc import Sequence

import msgspec

from contracts.deadletters import Reason
from contracts.readings import Value
from ingest.context import Context
from ingest.findings import HEALTH, Findings
from ingest.formats import Format
from ingest.identity import spell
from ingest.memory import memory_key
from ingest.outcomes import Arrival, Decoded, Ignored
from ingest.plain import text_of
from ingest.routes import Route
from ingest.values import Refused, Text, from_text, shown

_ONLINE = {"ready": True, "alert": True, "init": True, "sleeping": False, "disconnected": False, "lost": False}
_FACTS = {"$name": "name", "$fw/version": "firmware", "$implementation": "implementation", "$mac": "mac"}
_STATS = {
    "uptime": "s",
    "signal": "%",
    "battery": "%",
    "freeheap": "B",
    "cputemp": "degC",
    "cpuload": "%",
    "supply": "V",
}
_REMEMBERED = {"$datatype": "datatype", "$unit": "unit"}
_LONGEST = 64  # characters of a unit or a type


class Property(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a device said of one of its properties."""

    datatype: str = ""
    unit: str = ""


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode a value, a state, or an attribute."""
    findings = Findings(arrival, route, context)
    text = text_of(arrival.payload)
    base, levels = route.levels[: route.base], route.levels[route.base :]
    if levels[:1] == ("5",):
        findings.ignore(Ignored.UNSUPPORTED)
    elif levels[:1] == ("$broadcast",) or (len(levels) == 4 and levels[3] == "set"):  # noqa: PLR2004 - …/property/set
        findings.ignore(Ignored.COMMAND)
    elif isinstance(text, Refused):
        findings.problem(text.reason, f"the payload {text.why}")
    else:
        _read(findings, arrival, context, (base, levels, route.device or spell(*levels[:1])), text)
    return findings.decoded()


_Place = tuple[tuple[str, ...], tuple[str, ...], str]
"""Levels of the base, those after it, and the device's id."""


def _read(findings: Findings, arrival: Arrival, context: Context, place: _Place, text: str) -> None:
    _, levels, device = place
    match [level.startswith("$") for level in levels[:4]]:
        case [False, True, *_]:
            _device(findings, device, "/".join(levels[1:]), text)
        case [False, False, True, *_]:
            findings.ignore(Ignored.METADATA)
        case [False, False, False, True] if len(levels) == 4:  # noqa: PLR2004 - …/property/$attribute
            _attribute(findings, arrival, context, place, text)
        case [False, False, False]:
            _value(findings, context, place, text)
        case _:
            findings.ignore(Ignored.UNSUPPORTED)


def _device(findings: Findings, device: str, attribute: str, text: str) -> None:
    """Take in what a device says of itself."""
    findings.ignore(Ignored.METADATA if text else Ignored.EMPTY)
    stat = attribute.removeprefix("$stats/")
    if not text:
        return
    if attribute == "$state":
        online = _ONLINE.get(text)
        if online is None:
            findings.problem(Reason.MALFORMED, f"{shown(text)} is no state of a device")
        else:
            findings.state(device, online=online, reason="" if text == "ready" else text)
    elif attribute == "$stats/interval":
        findings.facts(device, {"interval": text})
    elif attribute != stat:
        metric = f"stats.{stat}"
        units = {metric: _STATS[stat]} if stat in _STATS else {}
        findings.reading(device, {metric: text}, units=units, flags=HEALTH)
    elif attribute in _FACTS:
        findings.facts(device, {_FACTS[attribute]: text})


def _attribute(findings: Findings, arrival: Arrival, context: Context, place: _Place, text: str) -> None:
    """Remember the type or unit of a property."""
    base, levels, device = place
    findings.ignore(Ignored.METADATA)
    field = _REMEMBERED.get(levels[3])
    if field is None or arrival.replayed or len(text) > _LONGEST:
        return
    key = _key(base, levels)
    known = context.memory.get(key, Property) or Property()
    context.memory.put(key, msgspec.structs.replace(known, **{field: text}))
    if field == "unit":
        findings.facts(device, {f"unit.{levels[1]}.{levels[2]}": text})


def _value(findings: Findings, context: Context, place: _Place, text: str) -> None:
    base, levels, device = place
    if not text:
        return
    known = context.memory.get(_key(base, levels), Property)
    if known is None and (array := levels[1].rpartition("_"))[2].isdecimal():
        # Of an array, NODE_1 and so on, the attributes are those of NODE.
        known = context.memory.get(_key(base, (levels[0], array[0], levels[2])), Property)
    value = _typed(text, known.datatype if known else "", context)
    if isinstance(value, Refused):
        findings.problem(value.reason, f"the value {value.why}")
        return
    metric = f"{levels[1]}.{levels[2]}"
    units = {metric: known.unit} if known and known.unit else {}
    findings.reading(device, {metric: value}, units=units)


def _typed(text: str, datatype: str, context: Context) -> Value | Refused | None:
    """Read a value as what its property is; text, where that is not known."""
    if datatype in ("integer", "float"):
        value = from_text(text, context.limits)
        if isinstance(value, str) and not value.lstrip("+-").isdecimal():  # an integer may be too large for a float
            return Refused(Reason.BAD_VALUE, f"is {shown(text)}, not the {datatype} that was promised")
        return value
    if datatype == "boolean":
        wrong = Refused(Reason.BAD_VALUE, f"is {shown(text)}, not the boolean that was promised")
        return {"true": True, "false": False}.get(text, wrong)
    return Text(text)


def _key(base: Sequence[str], levels: Sequence[str]) -> str:
    return memory_key("homie", "/".join(base), *levels[:3])


FORMAT = Format(decode)
