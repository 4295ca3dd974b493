"""Waiting for a peer, and keeping a service's work going until it is cancelled: delays that grow and are jittered."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator
from random import Random

from contracts.logs import Log

FIRST_S = 0.1
CAP_S = 5.0
_CANCEL_AGAIN_S = 0.5


def delays(rng: Random, first: float = FIRST_S, cap: float = CAP_S) -> Iterator[float]:
    """Seconds to wait before each try: doubling from `first` to `cap`, each jittered down by up to a half."""
    ceiling = first
    while True:
        yield ceiling * (0.5 + rng.random() / 2)
        ceiling = min(cap, ceiling * 2)


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait; True at once when `event` is set, False after `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


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


async def cancellable(work: Coroutine[object, object, None]) -> None:
    """Await `work`, and end it when cancelled, however often that takes.

    On Python 3.11 asyncio.wait_for forgets a cancellation that comes in the moment in which what it waits for fails; a
    client that then tries again would do so for ever.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=_CANCEL_AGAIN_S)
        raise


async def end(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel `tasks`, however often that takes (see `cancellable`); returns when all are done."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_CANCEL_AGAIN_S)
