"""JSON as our own topics take it: an object of metrics, `{"ts", "values"}`, or an array of either.

The route names the device. `ts` is epoch s, ms, µs or ns, told by size, or ISO 8601.
"""

from typing import Any

import msgspec

from contracts.deadletters import Reason
from contracts.readings import Reading
from ingest import jsons
from ingest.context import Context
from ingest.findings import Findings
from ingest.formats import Format
from ingest.formats.senml import decode_pack
from ingest.outcomes import Arrival, Decoded, Ignored, ignored, rejected
from ingest.routes import Route
from ingest.times import EARLIEST, NO_FLAGS
from ingest.values import settle

_LEAST_MS, _MOST_MS = EARLIEST // 1_000_000, 10**14
_LEAST_NS = max(EARLIEST, 10**17)
_TIMED_FIELDS = 2  # ts and values
_SENML_VALUES = ("v", "vs", "vb", "vd", "s")
_read = msgspec.json.Decoder().decode


class _Absent:
    """A time that is not there."""


_ABSENT = _Absent()


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode an object, `{"ts", "values"}`, or an array of either; an array that is SenML goes to its decoder."""
    try:
        body = _read(arrival.payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if not arrival.payload:
            return ignored(Ignored.EMPTY)
        try:
            body = jsons.read(arrival.payload)
        except jsons.UnreadableError as error:
            return rejected(error.reason, str(error))
    if isinstance(body, list) and _is_senml(body):
        return decode_pack(body, arrival, route, context)
    if not route.device:
        return rejected(Reason.NO_IDENTITY, "the route names no device, and neither does the message")
    if type(body) is dict and not arrival.retained:
        reading = _usual(arrival, route, context, body)
        if reading is not None:
            return Decoded((reading,))
    return _unusual(arrival, route, context, body)


def _usual(arrival: Arrival, route: Route, context: Context, body: dict[str, Any]) -> Reading | None:
    """Decode an object as nearly all are: plain values with short names, and no time or one in ms or ns.

    None if it is any other. `body` then still holds all that it held.
    """
    limits, ts = context.limits, arrival.received
    stated = body.get("ts", _ABSENT)
    values: Any = body
    if stated is not _ABSENT:
        values = body.get("values")
        if type(stated) is not int or type(values) is not dict or len(body) != _TIMED_FIELDS:
            return None
        if _LEAST_MS <= stated < _MOST_MS:
            ts = stated * 1_000_000
        elif stated >= _LEAST_NS:
            ts = stated
        else:
            return None
        if ts > arrival.received + route.ahead:
            return None
    if 0 < len(values) <= limits.metrics and settle(values, limits.short_name):
        return Reading(route.device, ts, arrival.received, values, NO_FLAGS)
    return None


def _unusual(arrival: Arrival, route: Route, context: Context, body: object) -> Decoded:
    """Decode anything else that JSON can be."""
    findings = Findings(arrival, route, context)
    if isinstance(body, dict):
        _element(findings, route.device, body, "")
    elif isinstance(body, list):
        for number, element in enumerate(body, start=1):
            if isinstance(element, dict):
                _element(findings, route.device, element, f"element {number}: ")
            else:
                findings.problem(Reason.MALFORMED, f"element {number} is {jsons.kind(element)}, not an object")
    elif body is None:
        findings.left_out(Ignored.NO_VALUE)
    else:
        what = f"the payload is {jsons.kind(body)}, not an object or an array of objects"
        return rejected(Reason.MALFORMED, what)
    return findings.decoded()


def _element(findings: Findings, device: str, fields: dict[str, object], where: str) -> None:
    stated = fields.get("ts")
    inner = fields.get("values")
    if "ts" in fields and isinstance(inner, dict):
        # What stands beside ts and values has no meaning here; it is counted like a value that is none.
        if len(fields) > _TIMED_FIELDS:
            findings.left_out(Ignored.NO_VALUE, len(fields) - _TIMED_FIELDS)
        fields = inner
    elif "ts" in fields:
        fields = {name: value for name, value in fields.items() if name != "ts"}
    moment = findings.when(stated, device=device, where=where)
    if moment is not None:
        findings.reading(device, fields, moment, where=where)


def _is_senml(records: list[Any]) -> bool:
    """Whether an array is SenML, which is another convention on the same topic."""
    if not records or not isinstance(records[0], dict):
        return False
    if "bn" in records[0]:
        return True
    return all(
        isinstance(record, dict)
        and isinstance(record.get("n"), str)
        and any(label in record for label in _SENML_VALUES)
        for record in records
    )


FORMAT = Format(decode)
