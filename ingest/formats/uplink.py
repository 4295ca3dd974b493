"""What devices tell that is no reading: it is passed on as it came, for the registry to read.

The device is the route's; a request to be provisioned has none yet. The topic's level before the last names the command
that is answered, or the nonce of the request.
"""

import msgspec

from contracts.deadletters import Reason
from contracts.topics import device_id_problem, named_in
from contracts.uplink import Kind, Uplink
from ingest.context import Context
from ingest.formats import Format
from ingest.outcomes import Arrival, Decoded, Ignored, ignored, rejected
from ingest.routes import Route

_NAMES = {"response": "command", "provision": "nonce"}


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`kind`: what it is that devices tell here."""

    kind: Kind = "reported"


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:  # noqa: ARG001 - every decoder is given it
    """Take a message as it is, unless it can mean nothing to whoever reads it."""
    options = route.options
    assert isinstance(options, Options)  # noqa: S101 - the registry reads them as this type
    kind = options.kind
    if kind != "provision" and not route.device:
        return rejected(Reason.NO_IDENTITY, "the route names no device")
    if kind in _NAMES and (wrong := device_id_problem(named_in(arrival.topic))):
        return rejected(Reason.MALFORMED, f"the {_NAMES[kind]} in its topic {wrong}")
    if kind == "provision" and arrival.retained:
        # Whoever asked has long had an answer, or is gone: answered again, it would use up a claim.
        return ignored(Ignored.RETAINED_UNTIMED)
    if kind != "response" and not arrival.payload:  # a retained message is cleared so; an answer may well be empty
        return ignored(Ignored.EMPTY)
    device = "" if kind == "provision" else route.device
    return Decoded((), uplink=Uplink(1, device, kind, arrival.received, arrival.topic, arrival.payload))


FORMAT = Format(decode, Options)
