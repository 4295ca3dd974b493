"""A device's own word on whether it is online, also as its will."""

from contracts.deadletters import Reason
from ingest.context import Context
from ingest.findings import Findings
from ingest.formats import Format
from ingest.jsons import BOM
from ingest.outcomes import Arrival, Decoded, Ignored, ignored, rejected
from ingest.routes import Route

_WORDS = {b"online": True, b"offline": False}


def online_of(payload: bytes) -> bool | Decoded:
    """Read `online` or `offline`, in any case, quoted or not; if it is neither, give what becomes of the message."""
    word = payload.removeprefix(BOM).strip().strip(b'"').lower()
    if not word:
        return ignored(Ignored.EMPTY)
    online = _WORDS.get(word)
    return rejected(Reason.MALFORMED, "the status is neither online nor offline") if online is None else online


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode the status of the device that the route names."""
    online = online_of(arrival.payload)
    if isinstance(online, Decoded):
        return online
    if not route.device:
        return rejected(Reason.NO_IDENTITY, "the route names no device")
    findings = Findings(arrival, route, context)
    findings.state(route.device, online=online)
    return findings.decoded()


FORMAT = Format(decode)
