"""What the metrics of one Sparkplug B message hold: values, and in a birth their definitions. Pure."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from contracts.deadletters import Reason
from ingest.findings import MILLISECONDS, Findings
from ingest.limits import Limits
from ingest.outcomes import Ignored
from ingest.sparkplug.datatypes import STRING, BadValueError, Raw, UntypedError, named, text_of, value_of
from ingest.sparkplug.session import Definition

MOST_METRICS = 50_000
"""Most metrics that are looked at in one message."""

HISTORICAL = {"historical": ""}
"""Flag of a value that was kept back by its sender; it is not what the metric is now."""

BD_SEQ = "bdSeq"
_CONTROLS = ("Node Control/", "Device Control/")
_PROPERTIES = "Properties/"
_FACTS = {
    "hardware make": "manufacturer",
    "hardware model": "model",
    "firmware": "firmware",
    "firmware version": "firmware",
    "fw": "firmware",
}
_UNIT, _QUALITY = b"engUnit", b"Quality"
_GOOD = 192
_QUALITIES = {0: "bad", 500: "stale"}
_NAMED = 5

Find = Callable[[int | str], Definition | None]
"""Gives what an alias or a name means by the births that are known to be in force."""


class _Value(NamedTuple):
    """One value of a device, `at` in ms as its sender says."""

    name: str
    value: object
    at: int | None
    flags: tuple[tuple[str, str], ...]
    unit: str


class Metrics:
    """Reads the metrics of one message of `device`, and gives what it finds to `findings`.

    `units` are those that metrics are known to have, by name, where nothing in force says.
    """

    def __init__(self, findings: Findings, limits: Limits, device: str, find: Find, units: Mapping[str, str]) -> None:
        self._findings, self._limits, self._device = findings, limits, device
        self._find, self._units = find, units
        self._values: list[_Value] = []
        self._wrong: list[tuple[Reason, str]] = []
        self._facts: dict[str, object] = {}
        self._unknown: list[str] = []
        self._more = 0

    def read(self, payload: Any, *, big_endian: bool) -> bool:  # noqa: ANN401 - its class is made at run time
        """Take in the values; returns whether all that was named by an alias or left untyped is known."""
        self._sent = payload.timestamp if payload.HasField("timestamp") else None
        self._big_endian = big_endian
        for metric in islice(payload.metrics, MOST_METRICS):
            self._metric(metric, "", self._sent, 1)
        if len(payload.metrics) > MOST_METRICS:
            self._wrong.append((Reason.TOO_LARGE, f"the message holds more than {MOST_METRICS} metrics"))
        if self._more:
            most = self._limits.points
            self._wrong.append((Reason.TOO_LARGE, f"{self._more} values beyond the first {most} of the message"))
        # First, since the first problem is the dead letter's reason, and this one is replayed by itself.
        if self._unknown:
            more = f" and {len(self._unknown) - _NAMED} more" if len(self._unknown) > _NAMED else ""
            what = ", ".join(self._unknown[:_NAMED]) + more
            self._findings.problem(Reason.UNKNOWN_ALIAS, f"no birth that is known to be in force explains {what}")
        for reason, what in self._wrong:
            self._findings.problem(reason, what)
        if self._facts:
            self._findings.facts(self._device, self._facts)
        self._store()
        return not self._unknown

    def _metric(self, metric: Any, prefix: str, sent: int | None, depth: int) -> None:  # noqa: ANN401 - as read
        try:
            name = text_of(metric.name)
        except BadValueError as error:
            self._wrong.append((error.reason, f"the name {metric.name!r:.80} {error}"))
            return
        alias = metric.alias if metric.HasField("alias") else None
        known = None
        if name or prefix:
            if not name:
                self._wrong.append((Reason.MALFORMED, f"a part of the template {prefix} has no name"))
                return
            name = f"{prefix}.{name}" if prefix else name
            known = self._find(name)
        elif alias is None:
            self._wrong.append((Reason.MALFORMED, "a metric has neither a name nor an alias"))
            return
        elif (known := self._find(alias)) is None:
            self._unknown.append(f"the alias {alias}")
            return
        else:
            name = known.name
        if _controls(name):
            return
        if metric.is_transient:
            self._findings.left_out(Ignored.TRANSIENT)
            return
        sent = metric.timestamp if metric.HasField("timestamp") else sent
        if metric.WhichOneof("value") == "template_value":
            self._template(metric.template_value, name, sent, depth)
        else:
            self._plain(metric, name, known, sent)

    def _template(self, template: Any, name: str, sent: int | None, depth: int) -> None:  # noqa: ANN401 - as read
        if template.is_definition:
            self._findings.left_out(Ignored.METADATA)
        elif depth >= self._limits.depth:
            self._wrong.append((Reason.TOO_LARGE, f"{name!r:.80} is nested deeper than {self._limits.depth}"))
        else:
            for inner in islice(template.metrics, MOST_METRICS):
                self._metric(inner, name, sent, depth + 1)

    def _plain(self, metric: Any, name: str, known: Definition | None, sent: int | None) -> None:  # noqa: ANN401 - as read
        datatype = metric.datatype or (known.datatype if known else None)
        try:
            value = value_of(metric, datatype, self._limits.points, big_endian=self._big_endian)
        except UntypedError:
            self._unknown.append(f"the type of {name!r:.80}")
            return
        except BadValueError as error:
            self._wrong.append((error.reason, named(name, error)))
            return
        if name.startswith(_PROPERTIES):
            fact = name.removeprefix(_PROPERTIES)
            self._facts[_FACTS.get(fact.lower(), fact)] = value
            return
        flags = dict(HISTORICAL) if metric.is_historical else {}
        stated = properties(metric)
        quality = stated.get(_QUALITY)
        if isinstance(quality, int) and quality != _GOOD:
            flags["quality"] = _QUALITIES.get(quality, str(quality))
        if isinstance(value, Raw):
            flags["encoding"] = value.encoding
        unit = stated.get(_UNIT) or (known.unit if known else self._units.get(name, ""))
        for part, item in _spread(name, value):
            if len(self._values) >= self._limits.points:
                self._more += 1
                continue
            self._values.append(_Value(part, item, sent, tuple(flags.items()), str(unit)))

    def _store(self) -> None:
        """Hand over the values of each moment together, as many as one reading may hold."""
        groups: dict[tuple[int | None, tuple[tuple[str, str], ...]], dict[str, _Value]] = {}
        for value in self._values:
            group = groups.setdefault((value.at, value.flags), {})
            if value.name in group or len(group) >= self._limits.metrics:
                self._reading(value.at, value.flags, group)
                group.clear()
            group[value.name] = value
        for (at, flags), group in groups.items():
            self._reading(at, flags, group)

    def _reading(self, at: int | None, flags: tuple[tuple[str, str], ...], group: dict[str, _Value]) -> None:
        moment = self._findings.when(at, unit=MILLISECONDS, device=self._device)
        if moment is not None:
            units = {name: value.unit for name, value in group.items() if value.unit}
            values = {name: value.value for name, value in group.items()}
            self._findings.reading(self._device, values, moment, units=units, flags=dict(flags))


def properties(metric: Any) -> dict[bytes, object]:  # noqa: ANN401 - its class is made at run time
    """Give a metric's unit and quality, where it states them."""
    found: dict[bytes, object] = {}
    if metric.HasField("properties"):
        for key, value in zip(metric.properties.keys, metric.properties.values, strict=False):
            if key in (_UNIT, _QUALITY):
                try:
                    found[key] = value_of(value, STRING if key == _UNIT else value.type or 3, 0)
                except (BadValueError, UntypedError):
                    continue
    if not isinstance(found.get(_UNIT, ""), str):
        del found[_UNIT]
    return found


def definitions(metrics: Any, prefix: str = "", depth: int = 8) -> Iterator[tuple[Definition, int | None]]:  # noqa: ANN401 - as properties
    """Give what a birth's metrics define, with their aliases; also the parts of templates, down to `depth`."""
    for metric in islice(metrics, MOST_METRICS):
        try:
            name = text_of(metric.name)
        except BadValueError:
            continue
        if not name or _controls(name):
            continue
        name = f"{prefix}.{name}" if prefix else name
        unit = str(properties(metric).get(_UNIT, ""))
        yield Definition(name, metric.datatype, unit), metric.alias if metric.HasField("alias") else None
        if metric.WhichOneof("value") == "template_value" and not metric.template_value.is_definition and depth > 1:
            yield from definitions(metric.template_value.metrics, name, depth - 1)


def number(payload: Any) -> int | None:  # noqa: ANN401 - as properties
    """Give the number of the connection that a node's birth and its will carry; None where it is missing."""
    for metric in islice(payload.metrics, MOST_METRICS):
        if metric.name == BD_SEQ.encode():
            try:
                value = value_of(metric, metric.datatype, 0)
            except BadValueError:
                return None
            return value if type(value) is int else None
    return None


def _controls(name: str) -> bool:
    """Whether a metric is about the session, and none of the device's."""
    return name == BD_SEQ or name.startswith(_CONTROLS)


def _spread(name: str, value: object) -> Iterator[tuple[str, object]]:
    """Give the elements of an array, counted from 1."""
    if isinstance(value, list) and value:
        yield from ((f"{name}.{at}", item) for at, item in enumerate(value, start=1))
    else:
        yield name, value
