"""One plain value a message, whose topic names the device and the metric."""

import msgspec

from contracts.deadletters import Reason
from ingest.context import Context
from ingest.findings import Findings
from ingest.formats import Format
from ingest.outcomes import Arrival, Decoded, Ignored, rejected
from ingest.plain import value_of
from ingest.routes import Route
from ingest.values import Refused


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`metric`: which level of the topic names it; from the end if negative."""

    metric: int = -1


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode one bare value."""
    options = route.options
    assert isinstance(options, Options)  # noqa: S101 - the registry reads them as this type
    if not route.device:
        return rejected(Reason.NO_IDENTITY, "the route names no device")
    try:
        metric = route.levels[options.metric if options.metric < 0 else options.metric - 1]
    except IndexError:
        return rejected(Reason.MALFORMED, f"the topic has no level {options.metric}, which should name the metric")
    value, text = value_of(arrival.payload, context.limits)
    if isinstance(value, Ignored):
        findings = Findings(arrival, route, context)
        if value is Ignored.NO_VALUE:
            findings.left_out(value)
        return findings.decoded()
    if isinstance(value, Refused):
        return rejected(value.reason, f"the value {value.why}")
    findings = Findings(arrival, route, context)
    findings.reading(route.device, {metric: value if isinstance(value, bool) else text})
    return findings.decoded()


FORMAT = Format(decode, Options)
