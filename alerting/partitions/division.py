"""Into how many partitions the streams are divided, and with them what is in the database."""

import asyncio

from nats.errors import Error as NatsError

from alerting.repository import AWAY, Repository
from contracts.consumers import partitions_of
from contracts.jetstream import Link
from contracts.logs import Log
from contracts.ownership import Ownership
from contracts.streams import TELEMETRY

_POLL_S = 0.5
_LOOK_S = 2.0


class Division:
    """Follows how many partitions TELEMETRY has. `found` tells whether it is there, `divided` that it has been."""

    def __init__(self, link: Link, repository: Repository, ownership: Ownership, log: Log) -> None:
        self._link, self._repository, self._ownership, self._log = link, repository, ownership, log
        self.found = False
        self.divided = asyncio.Event()

    async def follow(self) -> None:
        """Look at it for ever."""
        while True:
            try:
                await self.look()
            except (NatsError, *AWAY):
                self.found = False
                await asyncio.sleep(_POLL_S)
            else:
                await asyncio.sleep(_LOOK_S)

    async def look(self) -> None:
        """Divide what is on disk as the stream is, and then share it out. Raises if something is away."""
        partitions = partitions_of(await self._link.js.stream_info(TELEMETRY.name))
        if partitions != self._ownership.partitions:
            if await self._repository.divide(partitions):
                self._log.info("state.divided", partitions=partitions)
            self._ownership.divide(partitions)
        self.found = True
        self.divided.set()
