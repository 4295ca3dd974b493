"""The table of odd values in ingest's README: what becomes of each is found by letting ingest's code take it."""

import json

from contracts.devices import DeviceRecord, Metric
from ingest import table
from ingest.admit import Admission
from ingest.context import Context
from ingest.explain import Explainer, Explanation
from ingest.limits import Limits
from ingest.outcomes import Arrival
from ingest.patience import Patience
from ingest.rates import RateLimits
from ingest.routes import Routes

NOW = 1_767_225_700_000_000_000
_SHOWN = 40


def _with(value: str) -> bytes:
    return f'{{"a": {value}, "b": 1}}'.encode()


def _nested(depth: int) -> str:
    return '{"c": ' * (depth - 1) + "1" + "}" * (depth - 1)


ROWS: list[tuple[str, bytes, str]] = [
    ("`NaN`", _with("NaN"), ""),
    ("`Infinity`, or a number that no float64 holds", _with("1e999"), ""),
    ("`null`", _with("null"), ""),
    ('a word for no value: `"nan"`, `"unknown"`', _with('"unknown"'), ""),
    ("an empty payload", b"", ""),
    ('a number as text: `"21.5"`', _with('"21.5"'), "profile: `type`"),
    ('`"ON"`', _with('"ON"'), "profile: `type`"),
    ('`"ON"` where the profile says boolean', b'{"switch": "ON", "b": 1}', "profile: `type`"),
    ("text where the profile says number", b'{"level": "high", "b": 1}', "profile: `type`"),
    ("a number outside the profile's range", b'{"level": 101, "b": 1}', "profile: `min`, `max`"),
    ("an integer beyond 2^53", _with("9007199254740993"), ""),
    ("an integer of 400 digits", _with("1" * 400), ""),
    ("a nested object", _with('{"c": 1}'), "`INGEST_DEPTH`"),
    ("one nested deeper than 8", _with(_nested(9)), "`INGEST_DEPTH`"),
    ("an array", _with("[1, 2]"), "`INGEST_DEPTH`"),
    ("an empty object or array", _with("[]"), ""),
    ("the same key twice", b'{"a": 1, "a": 2, "b": 1}', ""),
    ("a name with odd characters", '{"a /+#\u00fc": 1, "b": 1}'.encode(), ""),
    ("an empty name", b'{"": 1, "b": 1}', ""),
    ("a name of 257 bytes", json.dumps({"n" * 257: 1, "b": 1}).encode(), "`INGEST_NAME_BYTES`"),
    ("text of 8,193 bytes", _with(json.dumps("t" * 8_193)), "`INGEST_TEXT_BYTES`"),
    ("1,001 metrics", json.dumps({"b": 1} | {f"m{n}": 1 for n in range(1_000)}).encode(), "`INGEST_READING_METRICS`"),
    (
        "10,001 values in an array of readings",
        json.dumps([{f"m{n}": 1 for n in range(100)}] * 100 + [{"b": 1}]).encode(),
        "`INGEST_MESSAGE_POINTS`",
    ),
    ("a payload of 1 MiB and a byte", b" " * ((1 << 20) + 1), "`INGEST_PAYLOAD_BYTES`"),
    ("a payload that is not UTF-8", b'{"a": "\xff", "b": 1}', ""),
    ("a payload that is not JSON", b'{"a": 1', ""),
    ("a time before 2001", b'{"ts": 86400000, "b": 1}', ""),
    ("a time six minutes ahead", b'{"ts": 1767226060000, "b": 1}', "`INGEST_CLOCK_AHEAD_SECONDS`"),
    ("a time that cannot be read", b'{"ts": "soon", "b": 1}', ""),
]
"""What it is, the payload, and what sets the limit."""

_RECORD = DeviceRecord(
    1, "d", enabled=True, profile="p", metrics={"switch": Metric("boolean"), "level": Metric(max=100)}
)


def odd_values_table() -> str:
    """Every odd value, what becomes of it and of what is beside it, and what sets the limit."""
    lines = ["| value of `a`, beside `b` = 1 | outcome | set by |", "|---|---|---|"]
    for what, payload, setting in ROWS:
        lines.append(f"| {what} | {outcome(take(payload))} | {setting} |")
    return "\n".join(lines)


def take(payload: bytes) -> Explanation:
    """Let ingest take a payload of a device that has a profile."""
    rows = table.built_in()
    admission = Admission({"d": _RECORD}.get, RateLimits(), register=False)
    context = Context(Limits(), {"d": _RECORD}.get)
    explainer = Explainer(rows, Routes(rows, 300_000_000_000), context, admission, Patience(1))
    return explainer.explain(Arrival("devices/d/telemetry", payload, NOW))


def outcome(explained: Explanation) -> str:
    """Say what is stored, what is left out, and what is rejected."""
    said = []
    readings = [reading for _, reading in explained.stored if reading is not None]
    values = {name: value for reading in readings for name, value in reading.values.items()}
    if len(values) > 3:
        said.append(f"{sum(len(reading.values) for reading in readings):,} values stored")
    elif values:
        shown = ", ".join(f"`{name}` = `{json.dumps(value)[:_SHOWN]}`" for name, value in values.items())
        said.append(f"stored: {shown}")
    said += [f"with the flag `{flag}`" for reading in readings for flag in reading.flags]
    said += [f"{why} left out" for why in explained.decoded.left_out or {} if explained.outcome == "stored"]
    reasons = dict.fromkeys(reason for reason, _ in explained.problems)
    said += [f"{'the rest ' if values else ''}rejected: {reason}" for reason in reasons]
    return "; ".join(said) or f"{explained.outcome}: {explained.reason}"
