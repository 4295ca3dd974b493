"""Cumulocity SmartREST 2.0: lines of CSV, each a message of its own, told apart by the number in front.

The device is the MQTT client, which a subscriber does not see: the route has to name it, by a property that the broker
adds. A child device is in the topic, and its id is its parent's alone.
"""

import csv
from collections.abc import Callable

from contracts.deadletters import Reason
from ingest.context import Context
from ingest.findings import HEALTH, Findings, Moment
from ingest.formats import Format
from ingest.identity import spell
from ingest.outcomes import Arrival, Decoded, Ignored, ignored, rejected
from ingest.plain import text_of
from ingest.routes import Route
from ingest.values import Refused

_FROM_DEVICES = "us"
_OTHER_TOPICS = {"uc": Ignored.UNSUPPORTED, "ut": Ignored.METADATA}
_CLIENT_ID_PARTS = 3
_FACTS = {  # template: what its columns are
    "100": ("name", "type"),
    "110": ("serial", "model", "revision"),
    "115": ("firmware_name", "firmware"),
}
_INTERVAL = "117"  # in minutes
_GROUP = 4  # fragment, series, value, unit


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode all the lines of a message; a bad one is rejected alone."""
    levels = route.levels
    at = next((at for at, level in enumerate(levels) if at and level in (_FROM_DEVICES, *_OTHER_TOPICS)), 0)
    if levels[at] != _FROM_DEVICES:
        return ignored(_OTHER_TOPICS.get(levels[at], Ignored.COMMAND))
    text = text_of(arrival.payload)
    if isinstance(text, Refused):
        return rejected(text.reason, f"the payload {text.why}")
    if not text:
        return ignored(Ignored.EMPTY)
    if not route.device:
        return rejected(Reason.NO_IDENTITY, "the message names no device, and the broker does not say who sent it")
    device = _client(route.device)
    if child := levels[at + 1 :]:
        device += spell("", child[-1])  # what the route gives is spelled already
    findings = Findings(arrival, route, context)
    lines = text.split("\n", context.limits.points)
    if len(lines) > context.limits.points:
        findings.problem(Reason.TOO_LARGE, f"only the first {context.limits.points} lines are read")
        lines.pop()
    for number, line in enumerate(lines, start=1):
        if line.strip():
            _line(findings, device, line, f"line {number}: ")
    return findings.decoded()


def _client(identity: str) -> str:
    """Give the device's id in an MQTT client id: it is behind `d:`, or between a type and a template's name."""
    parts = identity.split(":")
    return parts[1] if len(parts) == _CLIENT_ID_PARTS else identity.removeprefix("d:")


def _line(findings: Findings, device: str, line: str, where: str) -> None:
    try:
        template, *columns = next(csv.reader([line.strip()], strict=True))
    except csv.Error as error:
        findings.problem(Reason.MALFORMED, f"{where}no CSV: {error}")
        return
    if (reader := _READERS.get(template)) is not None:
        reader(findings, device, columns, where)
    elif template in _FACTS:
        facts = zip(_FACTS[template], columns, strict=False)
        findings.facts(device, {name: fact for name, fact in facts if fact})
        findings.left_out(Ignored.METADATA)
    elif template == _INTERVAL and columns and columns[0].isdecimal():
        findings.facts(device, {"interval": int(columns[0][:9]) * 60})
        findings.left_out(Ignored.METADATA)
    elif template.isascii() and template.isdigit():
        findings.left_out(_kind(int(template[:4])))
    else:
        findings.problem(Reason.MALFORMED, f"{where}it begins with no number")


def _kind(template: int) -> Ignored:
    """Say what a template is about that makes no reading."""
    hundreds = {1: Ignored.METADATA, 3: Ignored.EVENT, 4: Ignored.EVENT, 5: Ignored.COMMAND}
    return hundreds.get(template // 100, Ignored.UNSUPPORTED)


def _moment(findings: Findings, columns: list[str], at: int, device: str, where: str) -> Moment | None:
    """Judge the time in column `at`; one that is empty or missing is that of arrival."""
    stated = columns[at].strip() if at < len(columns) else ""
    return findings.when(stated or None, device=device, where=where)


def _measurement(findings: Findings, device: str, columns: list[str], where: str) -> None:
    """200: fragment, series, value, unit, time."""
    if (moment := _moment(findings, columns, 4, device, where)) is not None:
        _series(findings, device, columns[:_GROUP], moment, where)


def _measurements(findings: Findings, device: str, columns: list[str], where: str) -> None:
    """201: type, time, then fragment, series, value and unit as often as there are series."""
    moment = _moment(findings, columns, 1, device, where)
    if moment is None:
        return
    groups = [columns[at : at + _GROUP] for at in range(2, len(columns), _GROUP)]
    if not groups:
        findings.problem(Reason.MALFORMED, f"{where}there is no series")
    for group in groups:
        _series(findings, device, group, moment, where)


def _series(findings: Findings, device: str, group: list[str], moment: Moment, where: str) -> None:
    fragment, series, value, unit = (*group, *[""] * _GROUP)[:_GROUP]
    if not (fragment and series and value):
        findings.problem(Reason.MALFORMED, f"{where}a fragment, a series and a value are needed")
        return
    findings.reading(
        device, {fragment: {series: value}}, moment, units={f"{fragment}.{series}": unit} if unit else {}, where=where
    )


def _fixed(*metrics: tuple[str, str], health: bool = False) -> Callable[[Findings, str, list[str], str], None]:
    """Make a reader of a template whose columns are these metrics, in these units; the time is behind them."""
    units = dict(metrics)

    def read(findings: Findings, device: str, columns: list[str], where: str) -> None:
        moment = _moment(findings, columns, len(metrics), device, where)
        values = {name: value for name, value in zip(units, columns, strict=False) if value}
        if moment is None:
            return
        if not values:
            findings.problem(Reason.MALFORMED, f"{where}there is no value")
        findings.reading(device, values, moment, units=units, flags=HEALTH if health else {}, where=where)

    return read


_POSITION = _fixed(
    ("c8y_Position.lat", "deg"),
    ("c8y_Position.lng", "deg"),
    ("c8y_Position.alt", "m"),
    ("c8y_Position.accuracy", "m"),
)
_READERS: dict[str, Callable[[Findings, str, list[str], str], None]] = {
    "200": _measurement,
    "201": _measurements,
    "210": _fixed(("c8y_SignalStrength.rssi", "dBm"), ("c8y_SignalStrength.ber", "%"), health=True),
    "211": _fixed(("c8y_TemperatureMeasurement.T", "degC")),
    "212": _fixed(("c8y_Battery.level", "%"), health=True),
    "401": _POSITION,
    "402": _POSITION,
}


FORMAT = Format(decode)
