"""Where a reading came from: each delivery of it that is still on the stream TELEMETRY, by a bounded search."""

from typing import NamedTuple

from nats.js.errors import NotFoundError

from contracts.consumers import partitions_of
from contracts.readings import READING_BATCH, Reading
from contracts.streams import TELEMETRY, partition_of, telemetry_subject
from contracts.wire import SchemaError
from devices_api.errors import UnavailableError
from devices_api.stream import AWAY, NAME, StreamServer

MOST_MESSAGES = 200
"""So many messages of the device's partition are read for one answer."""


class Delivery(NamedTuple):
    """A reading, and the sequence number of the message that it is in."""

    sequence: int
    reading: Reading


class Looked(NamedTuple):
    """What was found in the messages `first` to `last` of a partition; `next` is where to go on, if there are more.

    `last` is 0 where the stream holds nothing from `first` on.
    """

    partition: int
    first: int
    last: int
    next: int | None
    found: list[Delivery]


class Deliveries:
    """Looks into TELEMETRY, without a consumer: one would make the stream keep what all others have read."""

    def __init__(self, stream: StreamServer) -> None:
        self._stream = stream

    async def look(self, device: str, metric: str, ts: int, sequence: int = 0) -> Looked:
        """Look for readings of `device` at `ts` that have `metric`, from `sequence` on; 0: from the oldest.

        Raises UnavailableError while the stream server, or the stream, is away.
        """
        if not self._stream.link.up:
            raise UnavailableError(NAME)
        js = self._stream.link.js
        found: list[Delivery] = []
        try:
            info = await js.stream_info(TELEMETRY.name)
            partition = partition_of(device, partitions_of(info))
            subject = telemetry_subject(partition)
            first = at = max(sequence, info.state.first_seq, 1)
            for _ in range(MOST_MESSAGES):
                if at > info.state.last_seq:
                    break
                message = await js.get_msg(TELEMETRY.name, seq=at, subject=subject, next=True)
                number = message.seq or at
                found += [
                    Delivery(number, reading)
                    for reading in _readings(message.data or b"")
                    if reading.device == device and reading.ts == ts and metric in reading.values
                ]
                at = number + 1
            following = at if at <= info.state.last_seq else None
        except NotFoundError as error:
            if error.err_code == _NO_STREAM:
                raise UnavailableError(f"stream {TELEMETRY.name}") from error
            following = None  # no message of this partition is left
        except AWAY as error:
            raise UnavailableError(NAME) from error
        return Looked(partition, first, info.state.last_seq if following is None else following - 1, following, found)


_NO_STREAM = 10059


def _readings(data: bytes) -> list[Reading]:
    try:
        return READING_BATCH.decode(data).readings
    except SchemaError:  # a deletion, or of another version
        return []
