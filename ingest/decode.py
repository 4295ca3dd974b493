"""Payloads to readings. Whatever the bytes, the answer is a Decoded; nothing here raises for any payload."""

import json
from collections.abc import Callable
from typing import Any

import msgspec

from contracts.deadletters import Reason
from contracts.readings import Reading, Value
from ingest.limits import MAX_DEPTH, MAX_POINTS, Limits
from ingest.outcomes import Arrival, Decoded, Ignored, Problems, rejected
from ingest.routes import Route
from ingest.times import EARLIEST, NO_FLAGS, BadTimeError, event_time
from ingest.values import MAX_DIGITS, Flattener, Refused, Unusable, from_text, name_problem, settle

_BOM = b"\xef\xbb\xbf"
_read_json: Callable[[bytes], Any] = msgspec.json.Decoder().decode
_SENML_VALUES = ("v", "vs", "vb", "vd", "s")
_LEAST_MS, _MOST_MS = EARLIEST // 1_000_000, 10**14
_LEAST_NS = max(EARLIEST, 10**17)
_TIMED_FIELDS = 2  # ts and values


_INFINITE = "is infinite, which is no number"
_LITERALS: dict[str, Value | Refused | Ignored] = {
    "true": True,
    "false": False,
    "null": Ignored.NO_VALUE,
    "Infinity": Refused(Reason.BAD_VALUE, _INFINITE),
    "-Infinity": Refused(Reason.BAD_VALUE, _INFINITE),
}


class _Absent:
    """A time that is not there."""


_ABSENT = _Absent()


class Decoder:
    """Decodes the default topics. `ahead`: how many ns a device's clock may be ahead of ours."""

    def __init__(self, limits: Limits, ahead: int) -> None:
        self._limits, self._ahead = limits, ahead
        self._short = limits.name_bytes // 4  # characters: so many are never more bytes than are allowed

    def decode(self, route: Route, arrival: Arrival) -> Decoded:
        """Decode a message on a topic for readings."""
        # Step 2. Decode: the payload becomes readings, problems, or a reason why there is nothing in it.
        if route.kind == "telemetry":
            return self._structured(route.device, arrival)
        return self._plain(route.device, route.metric, arrival)

    def _structured(self, device: str, arrival: Arrival) -> Decoded:
        """Decode an object, `{"ts", "values"}`, or an array of either."""
        payload, received = arrival.payload, arrival.received
        if len(payload) > self._limits.payload_bytes:
            return self._too_large(payload)
        try:
            body = _read_json(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if not payload:
                return Decoded((), ignored=Ignored.EMPTY)
            try:
                body = _read_lenient(payload)
            except _UnreadableError as error:
                return rejected(error.reason, str(error))
        if type(body) is dict and not arrival.retained:
            reading = self._usual(device, body, received)
            if reading is not None:
                return Decoded((reading,))
        return _Message(device, arrival, self._limits, self._ahead).decode(body)

    def _usual(self, device: str, body: dict[str, Any], received: int) -> Reading | None:
        """Decode an object as nearly all are: plain values with short names, and no time or one in ms or ns.

        None if it is any other. `body` then still holds all that it held.
        """
        stated = body.get("ts", _ABSENT)
        values: Any = body
        ts = received
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
            if ts > received + self._ahead:
                return None
        if 0 < len(values) <= self._limits.metrics and settle(values, self._short):
            return Reading(device, ts, received, values, NO_FLAGS)
        return None

    def _plain(self, device: str, metric: str, arrival: Arrival) -> Decoded:
        """Decode one bare value."""
        payload, received = arrival.payload, arrival.received
        if len(payload) > self._limits.payload_bytes:
            return self._too_large(payload)
        if (problem := name_problem(metric, self._limits)) is not None:
            return rejected(*problem)
        value = self._bare(payload)
        if isinstance(value, Ignored):
            return Decoded((), no_values=value is Ignored.NO_VALUE, ignored=value)
        if isinstance(value, Refused):
            return rejected(value.reason, f"the value {value.why}")
        if arrival.retained:
            return Decoded((), untimed=1, ignored=Ignored.RETAINED_UNTIMED)
        return Decoded((Reading(device, received, received, {metric: value}, NO_FLAGS),))

    def _bare(self, payload: bytes) -> Value | Refused | Ignored:
        try:
            text = payload.removeprefix(_BOM).decode().strip()
        except UnicodeDecodeError as error:
            return Refused(Reason.MALFORMED, f"is not UTF-8: {error.reason} at byte {error.start}")
        if not text:
            return Ignored.EMPTY
        if text in _LITERALS:
            return _LITERALS[text]
        if text[0] in "{[":
            return Refused(Reason.MALFORMED, "is an object or array; this topic takes one plain value")
        if text[0] == '"':
            try:
                text = json.loads(text)
            except (ValueError, RecursionError) as error:
                return Refused(Reason.MALFORMED, f"begins with a quote and is no JSON text: {error}")
        found = from_text(text, self._limits)
        return Ignored.NO_VALUE if found is None else found

    def _too_large(self, payload: bytes) -> Decoded:
        allowed = self._limits.payload_bytes
        return rejected(Reason.TOO_LARGE, f"the payload is {len(payload)} bytes long; {allowed} are allowed")


def status(payload: bytes) -> bool | Decoded:
    """Whether a device says that it is online."""
    word = payload.removeprefix(_BOM).strip().strip(b'"').lower()
    if word == b"online":
        return True
    if word == b"offline":
        return False
    if not word:
        return Decoded((), ignored=Ignored.EMPTY)
    return rejected(Reason.MALFORMED, "the status is neither online nor offline")


class _Message:
    """The slower way through one message, for all that is unusual in it."""

    def __init__(self, device: str, arrival: Arrival, limits: Limits, ahead: int) -> None:
        self._device, self._limits, self._ahead = device, limits, ahead
        self._received, self._retained = arrival.received, arrival.retained
        self._problems = Problems()
        self._readings: list[Reading] = []
        self._no_values = 0
        self._untimed = 0
        self._points = 0

    def decode(self, body: object) -> Decoded:
        if isinstance(body, dict):
            self._element(body, "")
        elif isinstance(body, list):
            if _is_senml(body):
                return Decoded((), ignored=Ignored.UNSUPPORTED)
            for number, element in enumerate(body, start=1):
                if isinstance(element, dict):
                    self._element(element, f"element {number}: ")
                else:
                    self._problems.add(Reason.MALFORMED, f"element {number} is {_kind(element)}, not an object")
        elif body is None:
            return Decoded((), no_values=1, ignored=Ignored.NO_VALUE)
        else:
            return rejected(Reason.MALFORMED, f"the payload is {_kind(body)}, not an object or an array of objects")
        return Decoded(
            self._readings,
            self._problems or None,
            self._no_values,
            self._untimed,
            None if self._readings or self._problems else self._nothing(),
        )

    def _nothing(self) -> Ignored:
        if self._untimed:
            return Ignored.RETAINED_UNTIMED
        return Ignored.NO_VALUE if self._no_values else Ignored.EMPTY

    def _element(self, fields: dict[str, object], where: str) -> None:
        stated = fields.get("ts", _ABSENT)
        inner = fields.get("values")
        if stated is not _ABSENT and isinstance(inner, dict):
            # What stands beside ts and values has no meaning here; it is counted like a value that is none.
            self._no_values += len(fields) - 2
            fields = inner
        elif stated is not _ABSENT:
            fields = {name: value for name, value in fields.items() if name != "ts"}
        ts, flags = self._received, NO_FLAGS
        timed = stated is not _ABSENT and stated is not None
        if timed:
            try:
                ts, flags = event_time(stated, self._received, self._ahead)
            except BadTimeError as error:
                self._problems.add(Reason.BAD_TIME, f"{where}{error}")
                return
        flattener = Flattener(self._limits, self._problems)
        values = flattener.flatten(fields)
        self._no_values += flattener.no_values
        if not values:
            return
        if self._retained and (not timed or "clock" in flags):
            self._untimed += 1
            return
        self._points += len(values)
        if self._points > MAX_POINTS:
            self._problems.add(Reason.TOO_LARGE, f"{where}the message holds more than {MAX_POINTS} values")
            return
        self._readings.append(Reading(self._device, ts, self._received, values, flags))


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


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str) and type(value) is not Unusable:
        return "text"
    return {list: "an array", type(None): "null"}.get(type(value), "a number")


class _UnreadableError(Exception):
    """The payload is no JSON that can be read."""

    def __init__(self, reason: Reason, what: str) -> None:
        super().__init__(what)
        self.reason = reason


def _read_lenient(payload: bytes) -> Any:  # noqa: ANN401 - it is whatever the JSON holds
    """Read JSON that the fast decoder refuses: with a byte order mark, or with numbers that are none.

    Raises _UnreadableError.
    """
    try:
        text = payload.removeprefix(_BOM).decode()
        return json.loads(text, parse_constant=Unusable, parse_float=_float, parse_int=_integer)
    except UnicodeDecodeError as error:
        what = f"the payload is not UTF-8: {error.reason} at byte {error.start}"
        raise _UnreadableError(Reason.MALFORMED, what) from error
    except RecursionError as error:
        what = f"the payload is nested deeper than {MAX_DEPTH}"
        raise _UnreadableError(Reason.TOO_LARGE, what) from error
    except ValueError as error:
        raise _UnreadableError(Reason.MALFORMED, f"the payload is not JSON: {error}") from error


def _float(token: str) -> object:
    number = float(token)
    return Unusable(token) if number in (float("inf"), float("-inf")) else number


def _integer(token: str) -> object:
    return int(token) if len(token) <= MAX_DIGITS else Unusable(f"an integer of {len(token)} digits")
