"""Home Assistant discovery: what firmware announces of itself on `PREFIX/COMPONENT/[NODE/]OBJECT/config`.

It makes no readings: topics, units and templates are remembered for the decoder `announced`, which reads the topics
that no route has, and for those that lack a unit. A config that cannot be read, or announces what cannot be used, is
ignored as unsupported and never a dead letter. An empty one removes what it had announced.
"""

from ingest import announcements, discovery, jsons
from ingest.context import Context
from ingest.findings import Findings
from ingest.formats import Format
from ingest.outcomes import Arrival, Decoded, Ignored
from ingest.routes import Route

_LEAST, _MOST = 3, 4  # component, object, config; with a node


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Take in a config."""
    findings = Findings(arrival, route, context)
    findings.ignore(Ignored.METADATA)
    levels = route.levels[route.base :]
    config = arrival.topic
    if levels[-1:] != ("config",) or not _LEAST <= len(levels) <= _MOST:
        if route.levels[-1] != "status":  # Home Assistant's own, which says that it has started
            findings.ignore(Ignored.UNSUPPORTED)
    elif not announcements.can_be_learnt(config):
        findings.ignore(Ignored.UNSUPPORTED)
    elif arrival.replayed:
        pass  # an old one, which may have been replaced since
    elif not arrival.payload.strip():
        announcements.learn(context.memory, config, None)
    else:
        _learn(findings, arrival, context, levels[:-1])
    return findings.decoded()


def _learn(findings: Findings, arrival: Arrival, context: Context, levels: tuple[str, ...]) -> None:
    try:
        body = jsons.read(arrival.payload)
    except jsons.UnreadableError:
        body = None
    if not isinstance(body, dict):
        findings.ignore(Ignored.UNSUPPORTED)
        return
    found = discovery.read(context.memory, arrival.topic, levels, body)
    unsupported = found.unsupported + announcements.learn(context.memory, arrival.topic, found)
    if found.device:
        findings.facts(found.device, found.facts)
    if unsupported:
        findings.left_out(Ignored.UNSUPPORTED, unsupported)
        if not found.uses:
            findings.ignore(Ignored.UNSUPPORTED)


FORMAT = Format(decode)
