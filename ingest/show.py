"""An explanation, as lines for a person and as JSON for a program. Pure."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from contracts.readings import Reading, Value
from contracts.topics import is_told
from contracts.units import canonical
from ingest.admit import REFUSED
from ingest.explain import Explanation, near, off
from ingest.outcomes import Arrival, Ignored, Outcome
from ingest.table import Row
from ingest.times import SECOND

_WIDEST = 48
_SAID = {
    Ignored.EMPTY: "there is nothing in it",
    Ignored.NO_VALUE: "null, or a word that says there is no value",
    Ignored.RETAINED_UNTIMED: "the broker had kept it, and without a time of its own nobody knows how old it is",
    Ignored.PRESENCE: "it says that a device is online or offline, which is passed on",
    Ignored.UNKNOWN_DEVICE: "it says that a device is online or offline, and nobody registered that device",
    Ignored.METADATA: "it describes a device, and holds no measurement",
    Ignored.COMMAND: "it is a command, the reply to one, or another exchange that is none of ours",
    Ignored.EVENT: "it is an event, and no measurement comes with it",
    Ignored.REPEAT: "the same message was taken moments ago",
    Ignored.TRANSIENT: "its sender says that it is not to be kept",
    Ignored.FOREIGN_ADVERT: "a gateway heard a device of somebody else's",
    Ignored.UNDECODED_ADVERT: "a gateway heard a device and could not read it",
    Ignored.NO_CODEC: "the network server had no codec for the device, and passed on its bytes alone",
    Ignored.PRIVATE: "it is encrypted, or a message between people",
    Ignored.OUTDATED: "it tells of a connection which another one has followed",
    Ignored.UNCONFIRMED: "it was heard for the first time, from a device that nobody registered, and may be noise",
    Ignored.UNSUPPORTED: "its topic or convention has no decoder here",
}


def lines(explained: Explanation, rows: Sequence[Row]) -> Iterator[str]:
    """Say what becomes of a message and why; the last line is the outcome. `rows` is the routing table."""
    arrival, route = explained.arrival, explained.route
    yield f"topic     {_clean(arrival.topic)}"
    yield f"payload   {len(arrival.payload)} bytes, received {moment(arrival.received)}{_marks(arrival)}"
    if route is None:
        yield from _no_route(rows, arrival.topic)
    else:
        device = f"; the device is {_clean(route.device)}" if route.device else ""
        yield f"route     {route.name}, by {_clean(explained.filter)}; decoder {route.decoder}{device}"
    for reading, stored in explained.stored:
        yield from _reading(explained, reading, stored)
    yield from _besides(explained)
    for problem, what in explained.problems:
        yield f"problem   {problem}: {_clean(what)}"
    for device, refusal in explained.refused.items():
        yield f"refused   {_clean(device)}: {refusal}: {REFUSED[refusal]}"
    yield f"outcome   {outcome(explained)}"


def _besides(explained: Explanation) -> Iterator[str]:
    """Say what is in a message besides readings."""
    for state in explained.decoded.states:
        said = f", {_clean(state.reason)}" if state.reason else ""
        word = "online" if state.online else "offline"
        yield f"state     {_clean(state.device)} is {word} at {moment(state.at)}{said}"
    for device, facts in (explained.decoded.facts or {}).items():
        for name, fact in facts.items():
            yield f"fact      {_clean(device)}: {_clean(name)} = {_cut(fact)}"
    for topic, payload in explained.decoded.requests:
        yield f"request   to {_clean(topic)}: {_cut(_readable(payload))}"
    if (uplink := explained.decoded.uplink) is not None and explained.outcome is Outcome.STORED:
        yield f"passed on {uplink.kind}, as it came, to the registry"
    for why, count in (explained.decoded.left_out or {}).items():
        yield f"left out  {count} x {why}: {_SAID[why]}"


def outcome(explained: Explanation) -> str:
    """Say in a line what a message is counted under."""
    reason = explained.reason
    if explained.outcome is Outcome.IGNORED:
        return f"ignored: {reason} ({_SAID[Ignored(reason)]})"
    if explained.outcome is Outcome.STORED and reason:
        return f"stored, but for a part that was rejected: {reason}"
    return f"{explained.outcome}: {reason}" if reason else f"{explained.outcome}"


def _marks(arrival: Arrival) -> str:
    marks = [*(["retained"] if arrival.retained else []), *(f"{k}={v}" for k, v in arrival.properties.items())]
    return f" ({_clean(', '.join(marks))})" if marks else ""


def _no_route(rows: Sequence[Row], topic: str) -> Iterator[str]:
    if is_told(topic.split("/")):
        yield "route     none: here devices are told something, and nothing is read"
        return
    would = off(rows, topic)
    yield "route     none: no route of the table that is on takes this topic"
    for row in would:
        yield f"          {row.name} would (decoder {row.decoder}), but is off"
    for text, row in [] if would else near(rows, topic):
        yield f"          near it: {_clean(text)} of {row.name}{'' if row.enabled else ', which is off'}"
    yield "          To take it, write into the routing table that INGEST_ROUTES names:"
    yield "            [[route]]"
    yield f'            name = "{would[0].name if would else "mine"}"'
    if would:
        yield "            enabled = true"
    else:
        first, *rest = topic.replace("\\", "\\\\").replace('"', '\\"').split("/")
        wide = "/".join([first, "+", *rest[1:]]) if rest else first
        yield f'            filters = ["{_clean(wide)}"]'
        named = "{2}" if rest else "{1}"
        yield f'            device = "{named}"  # the level of the topic that names the device; + is any'


def _reading(explained: Explanation, reading: Reading, stored: Reading | None) -> Iterator[str]:
    of_clock = reading.ts == explained.arrival.received
    flags = "".join(f"; {name}{f' {_cut(said)}' if said else ''}" for name, said in reading.flags.items())
    yield (
        f"reading   {_clean(reading.device)} at {moment(reading.ts)}"
        f" ({'when it was received' if of_clock else 'its own time'}{flags})"
    )
    table = [("metric", "stored", "unit", "sent")]
    for entry in _values(explained, reading, stored):
        sent, kept = entry.get("sent"), entry.get("value")
        unit, sent_unit = entry.get("unit", ""), entry.get("sent_unit", "")
        same = sent is None or (sent == kept and sent_unit in ("", unit))
        table.append(
            (
                _cut(entry["metric"]),
                "nothing" if kept is None else _value(kept),
                _cut(unit),
                "" if same or sent is None else f"{_value(sent)} {_cut(sent_unit)}",
            )
        )
    shown = [column for column in zip(*table, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in shown]
    for row in zip(*shown, strict=True):
        yield "          " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _values(explained: Explanation, reading: Reading, stored: Reading | None) -> Iterator[dict[str, Any]]:
    """Give each metric with the value that was sent and the one that is stored, as far as there are both.

    The unit of what is stored is the profile's where it names one, else the one that was sent.
    """
    units = (explained.decoded.units or {}).get(reading.device, {})
    record = explained.records.get(reading.device)
    kept: dict[str, Value] = stored.values if stored else {}
    for metric in dict.fromkeys([*reading.values, *kept]):
        entry: dict[str, Any] = {"metric": metric}
        profile = record.metrics.get(metric) if record else None
        sent_unit = canonical(units[metric]) if metric in units else ""
        if metric in kept:
            entry["value"] = kept[metric]
            entry["unit"] = (profile.unit if profile else "") or sent_unit
        if metric in reading.values:
            entry["sent"], entry["sent_unit"] = reading.values[metric], sent_unit
        yield entry


def as_json(explained: Explanation, rows: Sequence[Row]) -> dict[str, Any]:
    """Give the same as one object, for a program."""
    arrival, route, decoded = explained.arrival, explained.route, explained.decoded
    found: dict[str, Any] = {
        "topic": arrival.topic,
        "bytes": len(arrival.payload),
        "received": arrival.received,
        "outcome": str(explained.outcome),
        "reason": str(explained.reason),
        "route": None,
        "readings": [
            {
                "device": reading.device,
                "ts": reading.ts,
                "time": moment(reading.ts),
                "flags": reading.flags,
                "stored": stored is not None,
                "values": list(_values(explained, reading, stored)),
            }
            for reading, stored in explained.stored
        ],
        "states": [
            {"device": state.device, "online": state.online, "at": state.at, "reason": state.reason}
            for state in decoded.states
        ],
        "facts": decoded.facts or {},
        "requests": [{"topic": topic, "payload": _readable(payload)} for topic, payload in decoded.requests],
        "uplink": None if decoded.uplink is None else decoded.uplink.kind,
        "left_out": {str(why): count for why, count in (decoded.left_out or {}).items()},
        "problems": [{"reason": str(reason), "what": what} for reason, what in explained.problems],
        "refused": {device: str(reason) for device, reason in explained.refused.items()},
    }
    if route is None:
        found["off"] = [row.name for row in off(rows, arrival.topic)]
        found["near"] = [text for text, _ in near(rows, arrival.topic)]
    else:
        found["route"] = {
            "name": route.name,
            "filter": explained.filter,
            "decoder": route.decoder,
            "device": route.device,
        }
    return found


def moment(ns: int) -> str:
    """Write a time, ns since 1970 UTC, as ISO 8601 with as many digits as it needs."""
    seconds, rest = divmod(ns, SECOND)
    digits = f"{rest:09}".rstrip("0")
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{'.' if digits else ''}{digits}Z"


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return _cut(value, quoted=True) if isinstance(value, str) else repr(value).removesuffix(".0")


def _readable(payload: bytes) -> str:
    """Give bytes as text where they are text that can be shown, else in hex."""
    text = payload.decode("utf-8", "replace")
    return text if text.isprintable() and "\ufffd" not in text else payload.hex()


def _cut(text: str, *, quoted: bool = False) -> str:
    text = _clean(text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…")
    return f'"{text}"' if quoted else text


def _clean(text: str) -> str:
    """Escape what a terminal would obey rather than show."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
