"""Sparkplug B: an edge node announces its metrics once, in a birth, and then may send numbers in place of names.

`BASE/GROUP/TYPE/NODE` or `BASE/GROUP/TYPE/NODE/DEVICE`. Births can be missed, so an alias is translated only while the
sequence numbers prove that no other birth has come since; see ingest/sparkplug/session.py. Otherwise the message is a
dead letter, the node is asked for a rebirth, and with the state `online` after it the letter can be replayed. Messages
are not held here meanwhile: held unacknowledged they would stop the broker, and acknowledged they would be lost in a
crash.
"""

from contracts.deadletters import Reason
from ingest.context import Context
from ingest.findings import Findings
from ingest.formats import Format
from ingest.identity import spell
from ingest.outcomes import Arrival, Decoded, Ignored
from ingest.routes import Route
from ingest.sparkplug.messages import Message, Options, Place

_NAMESPACE = "spBv1.0"
_OF_NODES, _OF_DEVICES = ("NBIRTH", "NDATA", "NDEATH"), ("DBIRTH", "DDATA", "DDEATH")
_COMMANDS = ("NCMD", "DCMD")


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode a birth, data or a death."""
    findings = Findings(arrival, route, context)
    place = _place(findings, route)
    if place is not None:
        options = route.options
        assert isinstance(options, Options)  # noqa: S101 - the registry reads them as this type
        findings.about(place.id)
        message = Message(findings, arrival, context, options, place)
        try:
            message.take()
        except BaseException:  # given up halfway, the session would not be what the node's is
            message.forget()
            raise
    return findings.decoded()


def _place(findings: Findings, route: Route) -> Place | None:
    above = route.levels[: route.base]
    # A filter may go further down, to one group or node.
    at = above.index(_NAMESPACE) + 1 if _NAMESPACE in above else route.base
    base, levels = "/".join(route.levels[:at]), route.levels[at:]
    match levels:
        case (_, kind, *_) if kind in _COMMANDS:
            findings.ignore(Ignored.COMMAND)
        case ("STATE", *_):
            findings.ignore(Ignored.COMMAND)
        case (group, kind, node) if kind in _OF_NODES and group and node:
            return Place(base, group, kind, node, "", spell(group, node))
        case (group, kind, node, device) if kind in _OF_DEVICES and group and node and device:
            return Place(base, group, kind, node, device, spell(group, node, device))
        case (_, kind, *_) if kind in (*_OF_NODES, *_OF_DEVICES):
            findings.problem(Reason.NO_IDENTITY, f"the topic does not name whom the {kind} is of")
        case _:
            findings.ignore(Ignored.UNSUPPORTED)
    return None


FORMAT = Format(decode, Options)
