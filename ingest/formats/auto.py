"""The decoder is told by the payload: its content type if it has one, else its first byte.

A topic that has the shape of a built-in route is read by that route's decoder; this is for all others.
"""

from ingest.context import Context
from ingest.formats import Format
from ingest.formats.json import decode as decode_json
from ingest.outcomes import Arrival, Decoded, Ignored, ignored
from ingest.routes import Route

_SENML_TYPES = frozenset({"application/senml+json", "application/senml+cbor"})
_CBOR_ARRAYS = range(0x80, 0xA0)


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode SenML by its content type or as a CBOR array; everything else has to be JSON."""
    if arrival.properties and arrival.properties.get("content-type", "").partition(";")[0].strip() in _SENML_TYPES:
        return ignored(Ignored.UNSUPPORTED)
    if arrival.payload and arrival.payload[0] in _CBOR_ARRAYS:
        return ignored(Ignored.UNSUPPORTED)
    return decode_json(arrival, route, context)


FORMAT = Format(decode)
