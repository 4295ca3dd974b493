"""A device's own word on whether it is online, also as its will."""

from contracts.deadletters import Reason
from ingest.context import Context
from ingest.findings import Findings
from ingest.formats import Format
from ingest.jsons import BOM
from ingest.outcomes import Arrival, Decoded, Ignored, ignored, rejected
from ingest.routes import Route

_WORDS = {b"online": True, b"offline": False}


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode `online` or `offline`, in any case, quoted or not."""
    word = arrival.payload.removeprefix(BOM).strip().strip(b'"').lower()
    if not word:
        return ignored(Ignored.EMPTY)
    online = _WORDS.get(word)
    if online is None:
        return rejected(Reason.MALFORMED, "the status is neither online nor offline")
    if not route.device:
        return rejected(Reason.NO_IDENTITY, "the route names no device")
    findings = Findings(arrival, route, context)
    findings.state(route.device, online=online)
    return findings.decoded()


FORMAT = Format(decode)
