"""Waiting for a peer, and keeping a service's work going: delays that grow and are jittered."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from random import Random

from contracts.logs import Log

FIRST_S = 0.1
CAP_S = 5.0


def delays(rng: Random, first: float = FIRST_S, cap: float = CAP_S) -> Iterator[float]:
    """Seconds to wait before each try: doubling from `first` to `cap`, each jittered down by up to a half."""
    ceiling = first
    while True:
        yield ceiling * (0.5 + rng.random() / 2)
        ceiling = min(cap, ceiling * 2)


async def keep_running(name: str, work: Callable[[], Awaitable[None]], rng: Random, log: Log) -> None:
    """Run `work` until it returns. An exception from it is logged as `task.failed`, and it is begun again.

    A failure after a minute of running starts the delays anew.
    """
    loop = asyncio.get_running_loop()
    waits = delays(rng)
    while True:
        began = loop.time()
        try:
            await work()
        except Exception:
            log.exception("task.failed", task=name)
        else:
            return
        if loop.time() - began > 60:  # noqa: PLR2004 - the minute promised above
            waits = delays(rng)
        await asyncio.sleep(next(waits))
