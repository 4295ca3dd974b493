"""The bucket of device records, written to in order by several relays at once."""

from nats.js import JetStreamContext
from nats.js.api import Header
from nats.js.errors import APIError

from contracts.streams import DEVICES_BUCKET

_WRONG_LAST_SEQUENCE = (10071, 10164)


class OvertakenError(Exception):
    """Somebody else has written to the bucket meanwhile, so that what was read before may be old."""


class Bucket:
    """Takes a write only if it is the next one after what its writer knows of."""

    def __init__(self, js: JetStreamContext) -> None:
        self._js = js

    async def end(self) -> int:
        """Return the sequence number of the last write."""
        return (await self._js.stream_info(f"KV_{DEVICES_BUCKET}")).state.last_seq

    async def write(self, key: str, value: bytes | None, after: int) -> None:
        """Put a value, or delete it where it is None, as the write that follows `after`.

        Raises OvertakenError if there is another one after that; nats errors if the server or the bucket is away.
        """
        headers = {Header.EXPECTED_LAST_SEQUENCE.value: str(after)}
        if value is None:
            headers["KV-Operation"] = "DEL"
        try:
            await self._js.publish(f"$KV.{DEVICES_BUCKET}.{key}", value or b"", headers=headers)
        except APIError as error:
            if error.err_code in _WRONG_LAST_SEQUENCE:
                raise OvertakenError from error
            raise
