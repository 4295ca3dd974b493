"""The decoder is told by the payload: its content type if it has one, else its first byte.

A topic that has the shape of a built-in route is read by that route's decoder; this is for all others.
"""

from ingest.context import Context
from ingest.formats import Format, senml
from ingest.formats.json import decode as decode_json
from ingest.outcomes import Arrival, Decoded
from ingest.routes import Route


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode SenML by its content type or as a CBOR array; everything else has to be JSON."""
    if (arrival.properties and senml.content_type(arrival) in senml.TYPES) or senml.looks_like_cbor(arrival.payload):
        return senml.decode(arrival, route, context)
    return decode_json(arrival, route, context)


FORMAT = Format(decode)
