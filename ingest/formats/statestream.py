"""Home Assistant's statestream: an entity's state and its attributes, each on a topic below `BASE/DOMAIN/OBJECT/`.

The entity is the device. Everything is retained. The state is bare text and attributes are JSON, though either may be
quoted or not. The times of its last change come after the state, if at all, and nothing waits for them. Base and
discovery prefix are often the same: a topic that a device has announced is read as announced.
"""

import msgspec

from contracts.readings import Value
from ingest import jsons
from ingest.announcements import Topic, key_of, withheld_key
from ingest.context import Context
from ingest.findings import HEALTH, Findings
from ingest.formats import Format, announced
from ingest.identity import spell
from ingest.memory import memory_key
from ingest.outcomes import Arrival, Decoded, Ignored
from ingest.plain import label, text_of, truth_of
from ingest.routes import Route
from ingest.times import NO_FLAGS
from ingest.values import Refused, Unusable, from_text

_LEVELS = 3  # domain, object, field
_TEXTS = frozenset({"sensor", "text", "input_text", "select", "input_select"})
"""Domains whose states may be any text: there a word like `on` is no boolean."""

_FACTS = {
    "friendly_name": "name",
    "device_class": "class.state",
    "state_class": "state_class.state",
    "unit_of_measurement": "unit.state",
}
_NO_VALUES = frozenset(
    {"supported_features", "min", "max", "step", "min_temp", "max_temp", "target_temp_step", "min_humidity",
     "max_humidity", "min_mireds", "max_mireds", "min_color_temp_kelvin", "max_color_temp_kelvin"}
)  # fmt: skip
"""Attributes that are numbers and say what an entity can do, not what it does."""

_REMEMBERED = {"unit_of_measurement": "unit", "device_class": "kind"}
_HEALTH = frozenset({"battery", "signal_strength"})


class Entity(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an entity's attributes say of its state."""

    unit: str = ""
    kind: str = ""


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode a state or an attribute."""
    known = context.memory
    if any(known.get(key(arrival.topic), Topic) is not None for key in (key_of, withheld_key)):
        return announced.decode(arrival, route, context)
    findings = Findings(arrival, route, context)
    levels = route.levels[route.base :]
    text = text_of(arrival.payload)
    if len(levels) != _LEVELS:
        findings.ignore(Ignored.UNSUPPORTED)
    elif levels[2] == "state":
        _state(findings, context, (route.device or spell(".".join(levels[:2])), levels[0]), text)
    elif text:
        _attribute(findings, arrival, context, route.device or spell(".".join(levels[:2])), levels[2])
    return findings.decoded()


def _key(device: str) -> str:
    return memory_key("statestream", device)


def _state(findings: Findings, context: Context, whose: tuple[str, str], text: str | Refused) -> None:
    """Take in a state, of the device and domain that it is of."""
    device, domain = whose
    if isinstance(text, Refused):
        findings.problem(text.reason, f"the state {text.why}")
        return
    state = _unquoted(text)
    if not state:
        return
    value: Value | Refused | None = None if domain in _TEXTS else truth_of(state)
    if value is None:
        value = from_text(state, context.limits)
    if isinstance(value, Refused):
        findings.problem(value.reason, f"the state {value.why}")
        return
    entity = context.memory.get(_key(device), Entity) or Entity()
    units = {"state": entity.unit} if entity.unit else {}
    flags = HEALTH if entity.kind in _HEALTH else NO_FLAGS
    findings.reading(device, {"state": state if isinstance(value, float) else value}, units=units, flags=flags)


def _unquoted(text: str) -> str:
    """Give a text without the quotes that JSON puts around it."""
    if not text.startswith('"'):
        return text
    try:
        inner = msgspec.json.decode(text, type=str)
    except msgspec.DecodeError:
        return text
    return inner.strip()


def _attribute(findings: Findings, arrival: Arrival, context: Context, device: str, field: str) -> None:
    """Take in an attribute: a number is a value, and some texts tell about the state."""
    try:
        value = jsons.read(arrival.payload)
    except jsons.UnreadableError:
        value = text_of(arrival.payload)  # bare text after all
    if type(value) in (int, float) and field not in _NO_VALUES:
        findings.reading(device, {field: value})
        return
    if value is None or isinstance(value, Unusable):
        findings.left_out(Ignored.NO_VALUE)
    else:
        findings.ignore(Ignored.METADATA)
    text = label(value)
    if text and field in _FACTS:
        findings.facts(device, {_FACTS[field]: text})
    if field in _REMEMBERED and not arrival.replayed:
        entity = context.memory.get(_key(device), Entity) or Entity()
        context.memory.put(_key(device), msgspec.structs.replace(entity, **{_REMEMBERED[field]: text}))


FORMAT = Format(decode)
