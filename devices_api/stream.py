"""The stream server, as devices_api needs it: its streams and its bucket, there and known to be there."""

import asyncio
from collections.abc import Awaitable, Callable

from nats.errors import Error as NatsError

from contracts.jetstream import Link, Publisher, ensure_bucket, ensure_stream
from contracts.logs import Log
from contracts.streams import ACTIVITY, DEVICES_BUCKET, PRESENCE, REPLAYS, UPLINK, Stream
from devices_api.errors import UnavailableError
from devices_api.registry.bucket import Bucket

NAME = "stream server"
AWAY = (NatsError, TimeoutError, OSError)
"""What a call raises while the stream server, or one of the streams, is away."""

_POLL_S = 0.5


class StreamServer:
    """Keeps the connection, and what has to exist on the server, through restarts and losses of either.

    DEADLETTERS is given the limits of `deadletters`, whoever has made it: they are an operator's to set, here.
    """

    def __init__(self, link: Link, deadletters: Stream, log: Log) -> None:
        self.link, self._deadletters, self._log = link, deadletters, log
        self.publisher = Publisher(link)
        self._bucket: Bucket | None = None
        self._generation = -1
        self._connected = False

    @property
    def bucket(self) -> Bucket:
        """The bucket of device records. Raises UnavailableError while it is not known to be there."""
        if self._bucket is None or not self.ready:
            raise UnavailableError(f"bucket {DEVICES_BUCKET}")
        return self._bucket

    @property
    def ready(self) -> bool:
        """Whether everything is there, on the connection that is up now."""
        return self.link.up and self._generation == self.link.generation

    def doubt(self) -> None:
        """Something was not there: look again."""
        self._generation = -1

    def waiting_for(self) -> list[str]:
        """Name what is missing."""
        if not self.link.up:
            return [NAME]
        return [] if self.ready else [f"bucket {DEVICES_BUCKET}"]

    async def keep(self, found_empty: Callable[[], Awaitable[None]]) -> None:
        """Connect, and make sure of streams and bucket whenever they are in doubt; runs for ever.

        `found_empty` is awaited when the bucket holds nothing, before it is used.
        """
        if not self._connected:
            await self.link.connect()
            await self.publisher.start()
            self._connected = True
        while True:
            if self.link.up and not self.ready:
                try:
                    await self._ensure(found_empty)
                except (*AWAY, UnavailableError) as error:
                    self._log.warning("stream.not_ready", error=repr(error))
            await asyncio.sleep(_POLL_S)

    async def _ensure(self, found_empty: Callable[[], Awaitable[None]]) -> None:
        generation, js = self.link.generation, self.link.js
        await ensure_stream(js, self._deadletters, limit=True)
        for stream in (PRESENCE, UPLINK, ACTIVITY, REPLAYS):
            await ensure_stream(js, stream)
        bucket = await ensure_bucket(js, DEVICES_BUCKET)
        if (await bucket.status()).values == 0:
            await found_empty()
        self._bucket, self._generation = Bucket(js), generation
