"""Deletion: an order to delete a range of a device's telemetry; DeletionResult: what has become of it. Pure.

A deletion is published on the subject of the device's partition, `telemetry.N`, and so is in order with the readings:
it is about what was published before it, and a reading that comes after it stays. It has a text, its id, where a
ReadingBatch has a number, its partition: neither is ever read as the other, and who knows batches only rejects it.
"""

import re
from typing import Literal

import msgspec

from contracts.streams import DAY_S
from contracts.wire import SchemaError, Wire

DELETIONS_BUCKET = "deletions"
"""Key-value bucket with a DeletionResult for each deletion of the last days; the keys are their ids."""

DELETIONS_TTL_S = 7 * DAY_S
"""For so long the result of a deletion can be asked for."""

LATEST = (1 << 63) - 1
"""The greatest `end`: every time that there is lies before it."""


class Deletion(msgspec.Struct, array_like=True, frozen=True):
    """Delete the points of `device` with `start` <= ts < `end`, in ns since 1970 UTC, and the windows made of them.

    Of `metrics`, or of all of them if there are none; of every profile that the device has had. `id` is of letters,
    digits, `-` and `_`. `at` is when it was asked for, and `by` who asked.
    """

    schema_version: Literal[1]
    id: str
    device: str
    metrics: list[str]
    start: int
    end: int
    at: int
    by: str = ""


DELETION = Wire(Deletion)
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def deletion_in(data: bytes) -> Deletion | None:
    """Read a message of TELEMETRY that is no ReadingBatch; None if it is no deletion of a known version either."""
    try:
        return DELETION.decode(data)
    except SchemaError:
        return None


def wrong_in(deletion: Deletion) -> str | None:
    """Say what is wrong with a deletion, or None if nothing is."""
    if not _ID.fullmatch(deletion.id):
        return "its id is not of 1 to 64 letters, digits, - and _"
    if not 0 <= deletion.start < deletion.end <= LATEST:
        return f"start {deletion.start}, end {deletion.end}: not in order, or not from 0 to 2^63 - 1 ns"
    return None


class DeletionResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What has become of a deletion, as JSON in the bucket.

    `requested`: it waits in the stream, and `at` is when it was asked for; from then on `at` is when it was done or
    refused. `points` were deleted; of a deletion that was interrupted and done again, those of the last run. `kept`
    counts the windows that the range cuts and that stay as they were, since what they were made of is stored no more.
    `detail` says why it was refused.
    """

    schema_version: Literal[1]
    id: str
    device: str
    state: Literal["requested", "done", "refused"]
    at: int
    metrics: list[str] = []
    start: int = 0
    end: int = LATEST
    by: str = ""
    points: int = 0
    kept: int = 0
    detail: str = ""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(DeletionResult)


def encode_result(result: DeletionResult) -> bytes:
    """Write a result for the bucket."""
    return _encoder.encode(result)


def decode_result(data: bytes) -> DeletionResult:
    """Read a result from the bucket. Raises msgspec.DecodeError if it is none that this version knows."""
    try:
        return _decoder.decode(data)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error


def result_of(
    deletion: Deletion,
    state: Literal["requested", "done", "refused"],
    at: int,
    *,
    points: int = 0,
    kept: int = 0,
    detail: str = "",
) -> DeletionResult:
    """Tell what has become of `deletion`."""
    about = deletion.device, state, at, deletion.metrics, deletion.start, deletion.end, deletion.by
    return DeletionResult(1, deletion.id, *about, points, kept, detail)
