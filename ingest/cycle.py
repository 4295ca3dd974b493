"""What is written to the stream together, and acknowledged together after it. Pure."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain

from msgspec.structs import replace

from contracts.deadletters import DEAD_LETTER, DeadLetter, Reason
from contracts.presence import PRESENCE_MESSAGE, Presence
from contracts.readings import READING_BATCH, Reading, ReadingBatch
from contracts.streams import deadletter_subject, partition_of, presence_subject, telemetry_subject, uplink_subject
from contracts.topics import named_in
from contracts.uplink import UPLINK_MESSAGE, Uplink
from ingest.limits import MOST_PAYLOAD
from ingest.memory import memory_subject
from ingest.outcomes import Arrival, Ignored, Outcome
from ingest.routes import Route

BATCH_BYTES = 4 << 20
"""Largest batch; a larger one is written as two, and so is a larger reading: two of the same moment."""

DETAIL_CHARACTERS = 8_000
_VALUE_BYTES = 64  # about what a value takes in memory, besides its name
_FEW = 16

Outgoing = tuple[str, bytes]
"""Subject and body of one message for the stream; an empty body says that what was there is forgotten."""


class Cycle:
    """Collects messages; each is counted once, in `outcomes`, by outcome and reason.

    `receipts` has what acknowledges each message at its source, in the order of arrival; `stored` is set for those
    who wait. `bytes` is about what all of it takes in memory. `receiver` is the name of this process in dead letters.
    `began` is when the first message was received that is not taken again, 0 if there is none. `further` counts, by
    device, the readings beyond the first of each message. `remembered` is what decoders have learnt from these
    messages, which is written with them.
    """

    __slots__ = (
        "_readings",
        "_rest",
        "batches",
        "began",
        "bytes",
        "flags",
        "further",
        "ignored",
        "left_out",
        "letters",
        "outcomes",
        "partitions",
        "plain",
        "readings",
        "receipts",
        "receiver",
        "remembered",
        "stored",
    )

    def __init__(self, partitions: int, receiver: str = "") -> None:
        self.partitions, self.receiver = partitions, receiver
        self._readings: defaultdict[int, list[Reading]] = defaultdict(list)
        self._rest: list[
            Outgoing
        ] = []  # dead letters, presence and uplinks, written out at once: a message spoils only itself
        self.letters: Counter[str] = Counter()  # by reason
        self.receipts: list[object] = []
        self.stored: list[asyncio.Event] = []
        self.bytes = 0
        self.began = 0
        self.plain = 0  # messages stored whole with one reading, nearly all: not in `outcomes` but by `settle`
        self.readings = 0
        self.further: Counter[str] = Counter()
        self.batches: list[int] = []
        self.left_out: Counter[Ignored] = Counter()
        self.remembered: list[tuple[str, bytes | None]] = []
        self.flags: Counter[str] = Counter()
        self.ignored: Counter[tuple[str, Ignored]] = Counter()
        self.outcomes: Counter[tuple[Outcome, str]] = Counter()

    # Step 4. Batch: readings wait in their device's partition, in the order of arrival.

    def add_whole(self, partition: int, reading: Reading) -> None:
        """Take in a message that is one reading without flags, and count its outcome."""
        self._readings[partition].append(reading)
        self.plain += 1
        if len(reading.values) > _FEW:
            self._weigh(reading)

    def add(self, partition: int, readings: Sequence[Reading]) -> None:
        """Take in a device's readings of one message, whose outcome is counted apart."""
        self._readings[partition].extend(readings)
        self.readings += len(readings)
        if len(readings) > 1:
            self.further[readings[0].device] += len(readings) - 1
        for reading in readings:
            self.flags.update(reading.flags.keys())
            self._weigh(reading)

    def _weigh(self, reading: Reading) -> None:
        """Count what a reading takes: flattening, or an alias, makes much out of few bytes."""
        self.bytes += sum(map(len, reading.values)) + _VALUE_BYTES * len(reading.values)

    def add_presence(self, presence: Presence) -> None:
        """Take in what was learnt about a device."""
        subject = presence_subject(partition_of(presence.device, self.partitions))
        body = PRESENCE_MESSAGE.encode(presence)
        self._rest.append((subject, body))
        self.bytes += len(body)

    def add_uplink(self, uplink: Uplink) -> None:
        """Take in what a device tells that is no reading."""
        partition = partition_of(uplink.device or named_in(uplink.topic), self.partitions)
        body = UPLINK_MESSAGE.encode(uplink)
        self._rest.append((uplink_subject(partition), body))
        self.bytes += len(body)

    def ignore(self, why: Ignored, decoder: str = "") -> None:
        """Count a message that makes nothing, and should not."""
        self.outcomes[Outcome.IGNORED, why] += 1
        self.ignored[decoder, why] += 1

    def reject(
        self, arrival: Arrival, reason: Reason, detail: str, device: str = "", route: Route | None = None
    ) -> None:
        """Make a dead letter of a message, or of what is wrong with a part of it, with the original bytes."""
        payload, size = arrival.payload, len(arrival.payload)
        if size > MOST_PAYLOAD:
            detail, payload = f"{detail}; of its {size} bytes the first {MOST_PAYLOAD} are kept", payload[:MOST_PAYLOAD]
        letter = DeadLetter(
            1,
            reason,
            detail[:DETAIL_CHARACTERS].encode("utf-8", "replace").decode(),
            arrival.topic,
            payload,
            arrival.received,
            "ingest",
            device,
            arrival.retained,
            route.name if route else "",
            route.decoder if route else "",
            self.receiver,
            arrival.properties,
        )
        body = DEAD_LETTER.encode(letter)
        self._rest.append((deadletter_subject(reason, device), body))
        self.letters[reason] += 1
        self.bytes += len(body)

    def each_reading(self) -> Iterator[Reading]:
        """Give the readings, those of one device in the order of arrival."""
        return chain.from_iterable(self._readings.values())

    def settle(self) -> None:
        """Finish the counts, once, when nothing more comes."""
        self.readings += self.plain
        self.outcomes[Outcome.STORED, ""] += self.plain
        self.plain = 0

    def outgoing(self, batch_readings: int) -> list[Outgoing]:
        """Write out everything, in batches of at most `batch_readings`."""
        out: list[Outgoing] = []
        self.batches.clear()
        for partition, readings in sorted(self._readings.items()):
            for start in range(0, len(readings), batch_readings):
                subject = telemetry_subject(partition)
                for body, size in _batches(partition, readings[start : start + batch_readings]):
                    out.append((subject, body))
                    self.batches.append(size)
        out += self._rest
        out.extend((memory_subject(key), data or b"") for key, data in self.remembered)
        return out


def _batches(partition: int, readings: list[Reading]) -> Iterator[tuple[bytes, int]]:
    body = READING_BATCH.encode(ReadingBatch(1, partition, readings))
    if len(body) <= BATCH_BYTES:
        yield body, len(readings)
        return
    if len(readings) == 1:
        if len(readings[0].values) == 1:
            yield body, 1
            return
        readings = _halves(readings[0])
    half = len(readings) // 2
    yield from _batches(partition, readings[:half])
    yield from _batches(partition, readings[half:])


def _halves(reading: Reading) -> list[Reading]:
    values = list(reading.values.items())
    half = len(values) // 2
    return [replace(reading, values=dict(some)) for some in (values[:half], values[half:])]
