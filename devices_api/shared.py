"""Reading a durable consumer that replicas share: each message goes to one of them, and is acknowledged alone."""

import contextlib

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from contracts.jetstream import Link


class SharedReader:
    """Reads `consumer` of `stream`. What is not acknowledged comes again, to this reader or to another."""

    def __init__(self, link: Link, stream: str, consumer: str) -> None:
        self._link, self._stream, self._consumer = link, stream, consumer
        self._subscription: JetStreamContext.PullSubscription | None = None
        self._generation = -1

    async def fetch(self, most: int, wait: float) -> list[Msg]:
        """Return up to `most` messages; empty if none came within `wait` seconds. Raises nats errors."""
        if self._subscription is None or self._generation != self._link.generation:
            await self.close()
            self._generation = self._link.generation
            self._subscription = await self._link.js.pull_subscribe_bind(self._consumer, self._stream)
        try:
            return await self._subscription.fetch(most, wait)
        except TimeoutError:  # nothing came: nats-py has an error of its own for it, but not everywhere
            return []

    async def close(self) -> None:
        """Stop reading."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            with contextlib.suppress(NatsError, OSError):
                await subscription.unsubscribe()
