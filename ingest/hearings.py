"""Messages of senders that say everything several times, or that several receivers hear. Pure."""

from collections.abc import Container, Iterable
from operator import itemgetter

from contracts.readings import Reading, Value
from ingest.context import Context
from ingest.outcomes import Arrival, Decoded, Ignored, ignored

RADIO = frozenset({"rssi", "snr", "noise", "distance", "gateway"})
"""Metrics that differ from receiver to receiver."""


def unless_repeated(decoded: Decoded, arrival: Arrival, context: Context, within: int) -> Decoded:
    """Give `decoded`, or that it is a repeat: its device said the same less than `within` ns before.

    What the receiver measured, and when it heard it, does not count.
    """
    if not decoded.readings or arrival.replayed:
        return decoded
    said = (decoded.readings[0].device, _said(decoded.readings, RADIO))
    return ignored(Ignored.REPEAT) if context.repeats.seen(said, arrival.received, within) else decoded


def _said(readings: Iterable[Reading], without: Container[str]) -> tuple[tuple[str, Value], ...]:
    values = ((name, value) for one in readings for name, value in one.values.items() if name not in without)
    return tuple(sorted(values, key=itemgetter(0)))
