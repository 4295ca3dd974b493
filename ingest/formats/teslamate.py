"""TeslaMate: a car's values, one a topic, `teslamate[/{namespace}]/cars/{id}/{field}`.

All are retained, and a sleeping car leaves old ones for days. Dates are kept as text: none is the time of a sample.
"""

from contracts.deadletters import Reason
from ingest.context import Context
from ingest.findings import HEALTH, Findings
from ingest.formats import Format
from ingest.identity import spell
from ingest.jsons import read_object
from ingest.outcomes import Arrival, Decoded, Ignored, ignored
from ingest.plain import value_of
from ingest.routes import Route
from ingest.values import Refused, Text

_UNITS = {
    "speed": "km/h",
    "odometer": "km",
    "power": "kW",
    "charger_power": "kW",
    "charger_voltage": "V",
    "charger_actual_current": "A",
    "charge_current_request": "A",
    "charge_limit_soc": "%",
    "time_to_full_charge": "h",
    "charge_energy_added": "kWh",
    "elevation": "m",
    "heading": "deg",
    "latitude": "deg",
    "longitude": "deg",
}
_UNITS_BY_END = {"_km": "km", "_temp": "degC", "_level": "%"}
_UNITS_BY_START = {"tpms_pressure_": "bar"}
_FACTS = {"display_name": "name", "model": "model", "version": "firmware", "trim_badging": "trim"}
_TEXTS = frozenset({"update_version"})
"""Fields that are text, also where they look like a number."""

_AWAY = frozenset({"offline", "asleep"})


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode one value."""
    levels = route.levels
    if len(levels) < 3 or levels[-3] != "cars":  # noqa: PLR2004 - cars, id, field
        return ignored(Ignored.UNSUPPORTED)
    field = levels[-1]
    if field == "location":
        return ignored(Ignored.REPEAT)  # of latitude and longitude, which have topics of their own
    findings = Findings(arrival, route, context)
    value, text = value_of(arrival.payload, context.limits)
    # An id is a small number: with nothing before it, it would be that of many things.
    device = route.device or spell("teslamate", *route.levels[route.base : -3], levels[-2])
    if arrival.payload[:1] == b"{":
        _object(findings, arrival.payload, device, field)
    elif isinstance(value, Ignored):
        findings.ignore(Ignored.NO_VALUE)  # an empty field does not apply now
    elif isinstance(value, Refused):
        findings.problem(value.reason, f"{field} {value.why}")
    elif field == "state":
        findings.state(device, online=text not in _AWAY, reason=text)
    elif field in _FACTS:
        findings.facts(device, {_FACTS[field]: text})
    elif field == "healthy":
        findings.reading(device, {field: value}, flags=HEALTH)
    else:
        told = Text(text) if field in _TEXTS else text
        findings.reading(device, {field: value if isinstance(value, bool) else told}, units=_units(field))
    return findings.decoded()


def _units(field: str) -> dict[str, str]:
    ends = (unit for end, unit in _UNITS_BY_END.items() if field.endswith(end))
    starts = (unit for start, unit in _UNITS_BY_START.items() if field.startswith(start))
    unit = _UNITS.get(field) or next(ends, None) or next(starts, None)
    return {field: unit} if unit else {}


def _object(findings: Findings, payload: bytes, device: str, field: str) -> None:
    body = read_object(payload)
    if isinstance(body, Decoded):
        findings.problem(Reason.MALFORMED, f"{field} is no JSON")
    elif body.keys() == {"error"}:
        findings.ignore(Ignored.NO_VALUE)  # it says in words that there is none
    else:
        findings.reading(device, {field: body})


FORMAT = Format(decode)
