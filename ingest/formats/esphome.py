"""ESPHome: each component on `PREFIX/TYPE/OBJECT/state`, and `PREFIX/status`.

The prefix, of one or more levels, is the device. Units are not in the messages: where the node has announced itself by
Home Assistant discovery, they come from there. Topics of no known type are somebody else's.
"""

from contracts.deadletters import Reason
from ingest import jsons
from ingest.announcements import claim, use_of
from ingest.context import Context
from ingest.findings import HEALTH, Findings
from ingest.formats import Format, announced
from ingest.identity import spell
from ingest.memory import memory_key
from ingest.outcomes import Arrival, Decoded, Ignored
from ingest.plain import text_of, truth_of
from ingest.routes import Route
from ingest.times import NO_FLAGS
from ingest.values import Refused, Text, from_text, shown

_NUMBERS = frozenset({"sensor", "number"})
_SWITCHES = frozenset({"binary_sensor", "switch", "fan"})
_TEXTS = frozenset({"text_sensor", "select"})
_TYPES = _NUMBERS | _SWITCHES | _TEXTS | {"light", "climate", "cover", "lock"}


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode a component's state, or whether the node is online."""
    findings = Findings(arrival, route, context)
    levels, last = route.levels, route.levels[-1]
    text = text_of(arrival.payload)
    at = _type_at(levels)
    if last == "command":
        findings.ignore(Ignored.COMMAND)
    elif last == "debug":
        findings.ignore(Ignored.METADATA)  # the node's log
    elif last == "status" and isinstance(text, str) and text.lower() in ("online", "offline"):
        findings.state(_device(route, len(levels) - 1), online=truth_of(text) is True)
    elif at is None:
        return announced.decode(arrival, route, context)
    elif isinstance(text, Refused):
        findings.problem(text.reason, f"the state {text.why}")
    elif text:
        _state(findings, arrival, context, (_device(route, at), *levels[at:-1]), text)
    return findings.decoded()


def _type_at(levels: tuple[str, ...]) -> int | None:
    """Find the level with the component's type: two before the last, or three where a component has several states."""
    places = (len(levels) - 3, len(levels) - 4) if levels[-1] == "state" else ()
    return next((at for at in places if at > 0 and levels[at] in _TYPES), None)


def _device(route: Route, end: int) -> str:
    """Give the id: the prefix from the filter's first wildcard on, or all of it."""
    return route.device or spell(*(route.levels[route.base : end] or route.levels[:end]))


def _state(findings: Findings, arrival: Arrival, context: Context, place: tuple[str, ...], text: str) -> None:
    """Take in a state; `place` is device, type and object, and which of its states it is, if it has several."""
    device, kind, name, *part = place
    value = _value(context, kind if not part else "", text)
    if isinstance(value, Refused):
        findings.problem(value.reason, f"the state {value.why}")
        return
    use = use_of(context.memory, arrival.topic)
    metric = ".".join((_metric(arrival, context, device, kind, name), *part))
    units = {metric: use.unit} if use and use.unit else {}
    findings.reading(device, {metric: value}, units=units, flags=HEALTH if use and use.health else NO_FLAGS)


def _metric(arrival: Arrival, context: Context, device: str, kind: str, name: str) -> str:
    """Name the metric of an object; with its type, if an object of another type has the name."""
    if arrival.replayed:
        return name
    return claim(context.memory, memory_key("esphome", device), name, kind, f"{kind}.{name}")


def _value(context: Context, kind: str, text: str) -> object:
    """Read a state as what its type sends; None if it says that there is none."""
    plain = from_text(text, context.limits)
    if plain is None or isinstance(plain, Refused):
        return plain
    if kind in _TEXTS:
        return Text(text)
    if kind == "light":
        return _light(text)
    if kind in _SWITCHES and (plain := truth_of(text)) is None:
        return Refused(Reason.BAD_VALUE, f"of a {kind} is {shown(text)}, neither ON nor OFF")
    if kind in _NUMBERS and not isinstance(plain, float):
        return Refused(Reason.BAD_VALUE, f"of a {kind} is {shown(text)}, not a number")
    return plain


def _light(text: str) -> object:
    try:
        body = jsons.read(text.encode())
    except jsons.UnreadableError as error:
        return Refused(error.reason, f"of a light cannot be read: {error}")
    if not isinstance(body, dict):
        return Refused(Reason.MALFORMED, f"of a light is {jsons.kind(body)}, not an object")
    state = body.get("state")
    truth = truth_of(state) if isinstance(state, str) else None
    return body | {"state": truth} if truth is not None else body


FORMAT = Format(decode)
