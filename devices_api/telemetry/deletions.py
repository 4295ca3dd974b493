"""Deleting a range of telemetry: asked for on the stream, in order with the readings; what became of it, from KV."""

from collections.abc import Callable, Sequence

import msgspec
from nats.js.errors import KeyNotFoundError, NotFoundError
from nats.js.kv import KeyValue

from contracts.consumers import partitions_of
from contracts.deletions import (
    DELETION,
    DELETIONS_BUCKET,
    DELETIONS_TTL_S,
    Deletion,
    DeletionResult,
    decode_result,
    encode_result,
    result_of,
)
from contracts.jetstream import NotAcknowledgedError, ensure_bucket
from contracts.streams import TELEMETRY, partition_of, telemetry_subject
from devices_api.errors import UnavailableError
from devices_api.stream import AWAY, NAME, StreamServer


class Deletions:
    """Asks processor for deletions. Both methods raise UnavailableError while the stream server is away.

    `new_id` gives ids that were never given before, of letters and digits.
    """

    def __init__(self, stream: StreamServer, now: Callable[[], int], new_id: Callable[[], str]) -> None:
        self._stream, self._now, self._new_id = stream, now, new_id

    async def request(self, device: str, metrics: Sequence[str], start: int, end: int, by: str) -> DeletionResult:
        """Ask for the deletion of the points with `start` <= ts < `end`, of all metrics if there are none.

        It is on disk when this returns. After an error it may be done even so.
        """
        deletion = Deletion(1, self._new_id(), device, list(metrics), start, end, self._now(), by)
        requested = result_of(deletion, "requested", deletion.at)
        try:
            bucket = await self._bucket()
            partitions = partitions_of(await self._stream.link.js.stream_info(TELEMETRY.name))
            await bucket.put(deletion.id, encode_result(requested))  # first: processor's answer may come at once
            subject = telemetry_subject(partition_of(device, partitions))
            await self._stream.publisher.publish(subject, DELETION.encode(deletion))
        except NotFoundError as error:
            raise UnavailableError(f"stream {TELEMETRY.name}") from error
        except (*AWAY, NotAcknowledgedError) as error:
            raise UnavailableError(NAME) from error
        return requested

    async def result(self, id_: str) -> DeletionResult | None:
        """Tell what has become of a deletion; None if there was none, or it was longer ago than a week."""
        try:
            return decode_result((await (await self._bucket()).get(id_)).value or b"")
        except (KeyNotFoundError, msgspec.DecodeError):
            return None
        except AWAY as error:
            raise UnavailableError(NAME) from error

    async def _bucket(self) -> KeyValue:
        if not self._stream.ready:
            raise UnavailableError(NAME)
        return await ensure_bucket(self._stream.link.js, DELETIONS_BUCKET, DELETIONS_TTL_S)
