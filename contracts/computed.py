"""ComputedFailure: that a profile's computed metric fails, as processor tells it in KV `computed_failures`."""

from typing import Literal

import msgspec

from contracts.devices import kv_key


class ComputedFailure(msgspec.Struct, frozen=True):
    """One expression that fails, as JSON in the bucket. Times in ns since 1970 UTC, by processor's clock.

    `since` is its first failure since it last worked, `last` the newest, which was with a reading of `device` and is
    what `error` is about; `count` is about how many there were. Where the profile has another expression by now, this
    is out of date.
    """

    schema_version: Literal[1]
    profile: str
    metric: str
    expression: str
    error: str
    device: str
    since: int
    last: int
    count: int


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ComputedFailure)


def encode_failure(failure: ComputedFailure) -> bytes:
    """Write a failure for the bucket."""
    return _encoder.encode(failure)


def decode_failure(data: bytes) -> ComputedFailure:
    """Read a failure from the bucket. Raises msgspec.DecodeError if it is none that this version knows."""
    try:
        return _decoder.decode(data)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error


def failure_key(profile: str, metric: str) -> str:
    """Key of a profile's computed metric in the bucket."""
    return f"{kv_key(profile)}.{kv_key(metric)}"
