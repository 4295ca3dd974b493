"""Topics that Home Assistant discovery has announced: what a message means stands in the config, not in the message.

All entities of a topic are read from one message. A value that the message does not hold is none: partial messages are
usual where many entities share a topic.
"""

from contracts.deadletters import Reason
from ingest import jsons, templates
from ingest.announcements import Topic, Use, key_of, withheld_key
from ingest.context import Context
from ingest.findings import HEALTH, Findings
from ingest.formats import Format
from ingest.outcomes import Arrival, Decoded, Ignored, ignored, rejected
from ingest.plain import text_of
from ingest.routes import Route
from ingest.templates import MISSING
from ingest.times import NO_FLAGS
from ingest.values import Refused, from_text, shown


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode what is announced of the message's topic."""
    if context.memory.get(withheld_key(arrival.topic), Topic) is not None:
        return ignored(Ignored.COMMAND)
    topic = context.memory.get(key_of(arrival.topic), Topic)
    if topic is None:
        return ignored(Ignored.UNSUPPORTED)
    text = text_of(arrival.payload)
    if isinstance(text, Refused):
        return rejected(text.reason, f"the payload {text.why}")
    if not text:
        return ignored(Ignored.EMPTY)
    findings = Findings(arrival, route, context)
    body = _json(findings, arrival, topic, text)
    fields: dict[tuple[str, bool], dict[str, object]] = {}
    units: dict[str, dict[str, str]] = {}
    online: dict[str, bool] = {}
    for use in topic.uses:
        value = _told(findings, context, use, _value(use, text, body))
        if value is MISSING:
            continue
        if use.metric:
            fields.setdefault((use.device, use.health), {})[use.metric] = value
            units.setdefault(use.device, {})[use.metric] = use.unit
        else:
            online[use.device] = value is True
    _give(findings, fields, units, online)
    return findings.decoded()


def _give(
    findings: Findings,
    fields: dict[tuple[str, bool], dict[str, object]],
    units: dict[str, dict[str, str]],
    online: dict[str, bool],
) -> None:
    for (device, health), values in fields.items():
        known = {metric: unit for metric, unit in units[device].items() if unit}
        findings.reading(device, values, units=known, flags=HEALTH if health else NO_FLAGS)
    for device, state in online.items():
        findings.state(device, online=state)
    if not fields:
        findings.ignore(Ignored.NO_VALUE)


def _json(findings: Findings, arrival: Arrival, topic: Topic, text: str) -> object:
    """Read the payload as JSON if anything that is announced needs it; MISSING if it is none."""
    needed = any((found := templates.parse(use.template)) is not None and found.json for use in topic.uses)
    if not needed and text[0] not in "{[":
        return MISSING
    try:
        return jsons.read(arrival.payload)
    except jsons.UnreadableError as error:
        if needed:
            findings.problem(error.reason, str(error))
        return MISSING


def _value(use: Use, text: str, body: object) -> object:
    """Give what a message holds for one use of its topic, or MISSING."""
    template = templates.parse(use.template) if use.template else None
    if template is not None:
        found = template.value(body if template.json else text)
        return MISSING if found == "" else found  # what firmware has for a value that is not there
    return body if text[0] in "{[" and use.metric and body is not MISSING else text


def _told(findings: Findings, context: Context, use: Use, value: object) -> object:
    """Turn one of the two words of a use that has only these into a boolean; MISSING if it is neither.

    Of an object, as lights send, it is the word under `state`.
    """
    if use.true and isinstance(value, dict) and value.get("state") in (use.true, use.false):
        return value | {"state": value["state"] == use.true}
    if not use.true or value is MISSING or isinstance(value, dict | list):
        return value if use.metric else MISSING
    word = str(value).lower()
    if word in (use.true.lower(), use.false.lower()):
        return word == use.true.lower()
    if value is None or (isinstance(value, str) and from_text(value, context.limits) is None):
        return None if use.metric else MISSING
    if use.metric:
        what = f"{shown(use.metric)} is {shown(str(value))}, neither {shown(use.true)} nor {shown(use.false)}"
        findings.problem(Reason.BAD_VALUE, what)
    return MISSING


FORMAT = Format(decode)
