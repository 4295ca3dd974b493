"""What is written to the stream together, and acknowledged together after it. Pure."""

from collections import Counter

from contracts.deadletters import DEAD_LETTER, DeadLetter, Reason
from contracts.presence import PRESENCE_MESSAGE, Presence
from contracts.readings import READING_BATCH, Reading, ReadingBatch
from contracts.streams import deadletter_subject, partition_of, presence_subject, telemetry_subject
from ingest.outcomes import Arrival, Decoded

BATCH_READINGS = 500
BATCH_BYTES = 2 << 20
"""A batch is closed at this many bytes of payload: well below what the stream server takes in one message."""

KEPT_BYTES = 4 << 20
"""How much of a rejected payload is kept: all that a broker set up by us lets through."""


class Cycle:
    """Collects messages, by partition.

    `outcomes` counts what became of the messages, by outcome and reason; the other counts are of their parts.
    """

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._open: dict[int, list[Reading]] = {}
        self._open_bytes: Counter[int] = Counter()
        self._closed: list[tuple[str, bytes]] = []
        self.readings = 0
        self.batches = 0
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.rejections: Counter[str] = Counter()
        self.flags: Counter[str] = Counter()
        self.missing = 0

    def add(self, arrival: Arrival, decoded: Decoded, *, announce: bool) -> None:
        """Step 4. Batch: take in what one message says, each part under its own subject."""
        readings = decoded.readings
        if readings:
            partition = partition_of(decoded.device, self._partitions)
            batch = self._open.setdefault(partition, [])
            for reading in readings:
                batch.append(reading)
                if reading.flags:
                    self.flags.update(reading.flags.keys())
                if len(batch) >= BATCH_READINGS:
                    batch = self._close(partition)
            self._open_bytes[partition] += len(arrival.payload)
            if self._open_bytes[partition] > BATCH_BYTES:
                self._close(partition)
            self.readings += len(readings)
            self.missing += decoded.missing
            self.outcomes["stored", ""] += 1
        elif decoded.rejected:
            self.outcomes["rejected", decoded.rejected[0][0].value] += 1
        elif decoded.state:
            self.outcomes["stored", "presence"] += 1
        else:
            self.outcomes["ignored", decoded.ignored] += 1
        for reason, detail in decoded.rejected:
            self.reject(arrival, decoded.device, reason, detail)
        if decoded.state or announce:
            self._tell(Presence(1, decoded.device, decoded.state or "seen", arrival.received))

    def fail(self, arrival: Arrival, traceback: str) -> None:
        """Take in a message about which an exception was raised that nobody foresaw."""
        self.outcomes["rejected", Reason.UNEXPECTED.value] += 1
        self.reject(arrival, "", Reason.UNEXPECTED, traceback)

    def reject(self, arrival: Arrival, device: str, reason: Reason, detail: str) -> None:
        """Make a dead letter of a message or a part of it, with the original bytes."""
        payload = arrival.payload
        if len(payload) > KEPT_BYTES:
            detail, payload = f"{detail} (only the first {KEPT_BYTES} bytes are kept)", payload[:KEPT_BYTES]
        letter = DeadLetter(
            1, reason.value, detail, arrival.topic, payload, arrival.received, "ingest", device, arrival.retained
        )
        self.rejections[reason.value] += 1
        self._closed.append((deadletter_subject(reason.value), DEAD_LETTER.encode(letter)))

    def messages(self) -> list[tuple[str, bytes]]:
        """Close every batch; returns the subjects and bytes to publish."""
        for partition in list(self._open):
            self._close(partition)
        return self._closed

    def _close(self, partition: int) -> list[Reading]:
        """Close a partition's batch and return the next, empty one."""
        readings = self._open.get(partition)
        if readings:
            batch = ReadingBatch(1, partition, readings)
            self._closed.append((telemetry_subject(partition), READING_BATCH.encode(batch)))
            self.batches += 1
        self._open_bytes[partition] = 0
        self._open[partition] = []
        return self._open[partition]

    def _tell(self, presence: Presence) -> None:
        subject = presence_subject(partition_of(presence.device, self._partitions))
        self._closed.append((subject, PRESENCE_MESSAGE.encode(presence)))
