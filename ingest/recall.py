"""Reads back, at the start, what decoders had learnt: see memory.py."""

import asyncio

from nats.errors import Error as NatsError

from contracts.jetstream import Link, watching
from contracts.logs import Log
from ingest.memory import BUCKET, Memory

_RETRY_S = 0.5


async def recall(link: Link, memory: Memory, log: Log) -> None:
    """Tell `memory` everything that the bucket holds; tries until that is done."""
    while True:
        try:
            bucket = await link.js.key_value(BUCKET)
            async with watching(bucket) as watcher:
                while (entry := await watcher.updates(timeout=5)) is not None:  # type: ignore[no-untyped-call]
                    if entry.operation is None and entry.value:
                        memory.tell(entry.key, entry.value)
        except (NatsError, TimeoutError) as error:
            log.debug("memory.not_recalled", error=repr(error))
            await asyncio.sleep(_RETRY_S)
        else:
            return
