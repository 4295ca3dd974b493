"""One decoder at work on one message, for the tests of every format."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from contracts.deadletters import Reason
from contracts.devices import DeviceRecord
from contracts.readings import READING_BATCH, Reading, ReadingBatch
from contracts.uplink import UPLINK_MESSAGE
from ingest import table
from ingest.context import Context
from ingest.limits import MAX_POINTS, Limits
from ingest.outcomes import Arrival, Decoded
from ingest.routes import Routes
from ingest.table import Row

NOW = 1_767_225_700_000_000_000
"""When every message arrives that does not say otherwise: 2026-01-01T00:01:40Z."""

AHEAD = 300_000_000_000


class Ingest:
    """The routing table and the decoders; what they remember stays from message to message.

    `rows` come before the built-in ones, all of which are switched on; `whole` is a table in place of all these.
    `records` is the registry.
    """

    def __init__(
        self,
        rows: Sequence[Row] = (),
        records: Mapping[str, DeviceRecord] | None = None,
        limits: Limits | None = None,
        whole: Sequence[Row] = (),
    ) -> None:
        self.context = Context(limits or Limits(), (records or {}).get)
        self.routes = Routes(whole or [*rows, *(_on(row) for row in table.built_in())], AHEAD)
        self.written: dict[str, bytes] = {}

    def decode(
        self,
        topic: str,
        payload: bytes | str,
        *,
        at: int = NOW,
        retained: bool = False,
        replayed: bool = False,
        properties: dict[str, str] | None = None,
    ) -> Decoded:
        """Decode one message; it must have a route."""
        data = payload.encode() if isinstance(payload, str) else payload
        arrival = Arrival(topic, data, at, retained, replayed, properties or {})
        route = self.routes.of(arrival)
        assert route is not None, f"no route for {topic}"
        assert route.problem is None, route.problem
        decoded = one_outcome(route.decode(arrival, route, self.context))
        changes = self.context.memory.changes()
        self.written |= {key: data or b"" for key, data in changes}
        self.routes.announce(changes)
        return decoded

    def restarted(self) -> "Ingest":
        """Give an ingest that has been told what this one has written, and nothing else."""
        after = Ingest()
        for key, data in self.written.items():
            if data:
                after.context.memory.tell(key, data)
        after.written = dict(self.written)
        return after


def _on(row: Row) -> Row:
    return msgspec.structs.replace(row, enabled=True)


def decode(topic: str, payload: bytes | str, **more: Any) -> Decoded:  # noqa: ANN401 - as Ingest.decode takes it
    """Decode one message with an ingest that knows nothing."""
    return Ingest().decode(topic, payload, **more)


def only(decoded: Decoded) -> Reading:
    """Give the one reading, where there is nothing wrong."""
    assert decoded.problems is None, decoded.problems.detail
    assert decoded.ignored is None, decoded.ignored
    [reading] = decoded.readings
    return reading


def refused(decoded: Decoded, reason: Reason, *words: str) -> None:
    """Check what a message was rejected for, whole or in part."""
    assert decoded.problems is not None
    assert decoded.problems.reason is reason, decoded.problems.detail
    for word in words:
        assert word in decoded.problems.detail


def one_outcome(decoded: Decoded) -> Decoded:
    """Stored, rejected or ignored; and what is stored can be written to the stream and read again."""
    stored = bool(decoded.readings) or decoded.uplink is not None
    outcomes = stored, bool(decoded.problems and not stored), decoded.ignored is not None
    assert sum(outcomes) == 1, decoded
    if decoded.uplink is not None:
        assert UPLINK_MESSAGE.decode(UPLINK_MESSAGE.encode(decoded.uplink)) == decoded.uplink
    batch = ReadingBatch(1, 0, list(decoded.readings))
    assert READING_BATCH.decode(READING_BATCH.encode(batch)) == batch
    for reading in decoded.readings:
        assert reading.values
        assert all(type(value) in (float, bool, str) for value in reading.values.values())
        assert all(value - value == 0 for value in reading.values.values() if type(value) is float), "finite"
        assert 0 <= reading.ts < 1 << 63
        assert reading.device
        assert not set("/+#") & set(reading.device)
    for notes in (decoded.units, decoded.spelled, decoded.facts):
        for about in (notes or {}).values():
            assert all(type(name) is str and type(said) is str for name, said in about.items())
            assert all((name + said).encode() is not None for name, said in about.items())
    msgspec.msgpack.encode(decoded.states)
    if decoded.problems:
        decoded.problems.detail.encode()
    return decoded


def bounded(decoded: Decoded) -> Decoded:
    """Check that a message has not become more than it may."""
    assert sum(len(reading.values) for reading in decoded.readings) <= MAX_POINTS
    assert len(decoded.states) <= MAX_POINTS
    assert len(decoded.requests) <= 10
    assert sum(map(len, (decoded.facts or {}).values())) <= 2 * MAX_POINTS
    assert all(0 <= state.at < 1 << 63 for state in decoded.states)
    for topic, _ in decoded.requests:
        assert not {"+", "#", "\0"} & set(topic)
    return decoded
