"""Faults of payloads: bytes that nobody can read, and too many of them."""

from typing import ClassVar, Literal, Self

from pydantic import Field

from simulators.faults import dialects
from simulators.faults.injector import Draft
from simulators.faults.messages import messages, token
from simulators.faults.schedule import Family, Hit, OfReadings
from simulators.faults.target import Target
from simulators.formats.wire import Encoded
from simulators.plan.batch import Batch, Expect
from simulators.scenario.quantities import Bytes

NO_TEXT = b"\xff\xfe\xff"
"""No UTF-8, no protobuf, no CBOR, and nothing by which a format knows a message of its session."""

Way = Literal["cut", "noise", "encoding", "words"]
_WAYS: tuple[Way, ...] = ("cut", "noise", "encoding", "words")


class Malformed(OfReadings):
    """A payload cannot be read: it is rejected, all of it. Each is unlike every other.

    `ways`: `cut` off, with something else behind it; `noise`, bytes by chance; an `encoding` that is not UTF-8 in the
    middle of it; `words` instead. Without any: all in which the format can be malformed.
    """

    family: ClassVar[Family] = "payloads"
    kind: Literal["malformed"]
    ways: list[Way] = Field(default=[], max_length=100)

    def fit(self, target: Target) -> Self:
        """Choose the ways. Raises ValueError for one in which the format cannot be malformed."""
        for way in self.ways:
            dialects.possible(self.kind, [way], target)
        return self.model_copy(update={"ways": self.ways or dialects.possible(self.kind, _WAYS, target)})

    def before(self, hit: Hit) -> None:
        """Expect nothing but a dead letter."""
        void(hit)

    def after(self, rows: list[int], draft: Draft, encoded: Encoded, batch: Batch) -> None:
        """Break the payloads."""
        for row, place, _ in messages(rows, draft, encoded):
            own = token(draft, row, place, self.kind)
            batch.payloads[place] = _broken(batch.payloads[place], self.ways[int(own[:8], 16) % len(self.ways)], own)


class Oversize(OfReadings):
    """A payload has `bytes` bytes, more than ingest takes: it is rejected unread.

    It has to be less than the broker takes: that would hang up, and be sent it again with every new connection.
    """

    family: ClassVar[Family] = "payloads"
    kind: Literal["oversize"]
    bytes: Bytes | None = Field(default=None, ge=1024, le=7 << 20)

    def fit(self, target: Target) -> Self:
        """Choose a size, if none is given: one more than ingest takes."""
        return self.model_copy(update={"bytes": self.bytes or dialects.dialect(target).most + 1})

    def before(self, hit: Hit) -> None:
        """Expect nothing but a dead letter."""
        void(hit)

    def after(self, rows: list[int], draft: Draft, encoded: Encoded, batch: Batch) -> None:
        """Blow the payloads up."""
        for row, place, _ in messages(rows, draft, encoded):
            head = NO_TEXT + token(draft, row, place, self.kind)
            batch.payloads[place] = head + b"0" * ((self.bytes or 0) - len(head))


def void(hit: Hit, expect: Expect = Expect.REJECTED) -> None:
    """Expect that nothing of these rows is stored."""
    hit.draft.void.update(hit.rows)
    for row in hit.rows:
        hit.draft.expects[row] = expect


def _broken(payload: bytes, way: str, own: bytes) -> bytes:
    half = len(payload) // 2
    match way:
        case "cut":
            return payload[: max(1, half)] + b"~" + own  # which ends no number, and closes nothing
        case "noise":
            return NO_TEXT + bytes.fromhex(own.decode()) + own
        case "encoding":
            return payload[:half] + NO_TEXT + own + payload[half:]
        case _:
            return b"sensor error " + own
