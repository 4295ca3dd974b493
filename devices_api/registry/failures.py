"""Which computed metrics of a profile fail, as processor tells it in KV `computed_failures`."""

import asyncio

import msgspec
from nats.js.errors import BucketNotFoundError, KeyNotFoundError
from nats.js.kv import KeyValue

from contracts.computed import ComputedFailure, decode_failure, failure_key
from contracts.streams import FAILURES_BUCKET
from devices_api.errors import UnavailableError
from devices_api.registry.profiles import Profile
from devices_api.stream import AWAY, NAME, StreamServer


class Failures:
    """Looks failures up when somebody asks for a profile."""

    def __init__(self, stream: StreamServer) -> None:
        self._stream = stream

    async def of(self, profile: Profile) -> dict[str, ComputedFailure]:
        """Give what fails of the expressions that `profile` has now, by metric.

        Raises UnavailableError while the stream server is away.
        """
        if not profile.computed:
            return {}
        if not self._stream.link.up:
            raise UnavailableError(NAME)
        try:
            bucket = await self._stream.link.js.key_value(FAILURES_BUCKET)
            found = await asyncio.gather(*(_failure(bucket, profile, metric) for metric in profile.computed))
        except BucketNotFoundError:  # processor makes it
            return {}
        except AWAY as error:
            raise UnavailableError(NAME) from error
        return {failure.metric: failure for failure in found if failure is not None}


async def _failure(bucket: KeyValue, profile: Profile, metric: str) -> ComputedFailure | None:
    """Read one; None if there is none, or it is about another expression."""
    try:
        failure = decode_failure((await bucket.get(failure_key(profile.id, metric))).value or b"")
    except (KeyNotFoundError, msgspec.DecodeError):
        return None
    return failure if failure.expression == profile.computed[metric] else None
