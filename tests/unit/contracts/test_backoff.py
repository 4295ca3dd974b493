"""Delays, and work that is kept going."""

import asyncio
import contextlib
from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import backoff, logs
from contracts.backoff import cancellable, delays, end, keep_running


@given(st.integers())
def test_delays_grow_to_a_cap_and_are_never_nothing(seed: int) -> None:
    found = list(islice(delays(Random(seed), first=0.1, cap=5.0), 12))
    assert 0.05 <= found[0] <= 0.1
    assert all(0.05 <= delay <= 5.0 for delay in found)
    assert all(delay >= 2.5 for delay in found[7:])


async def test_work_that_fails_is_begun_again_until_it_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def at_once(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", at_once)
    tries = 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise RuntimeError("not yet")

    await keep_running("test", work, Random(1), logs.quiet())
    assert tries == 4
    assert waited == sorted(waited)


async def test_work_that_forgets_a_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "_CANCEL_AGAIN_S", 0.0)
    begun, cancellations = asyncio.Event(), 0

    async def forgetful() -> None:
        nonlocal cancellations
        begun.set()
        while cancellations < 3:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancellations += 1
        raise asyncio.CancelledError

    task = asyncio.create_task(cancellable(forgetful()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancellations == 3


async def test_what_work_raises_is_raised() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await cancellable(fail())


async def test_tasks_that_forget_a_cancellation_are_ended_even_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "_CANCEL_AGAIN_S", 0.001)

    async def forgetful(times: int) -> None:
        for _ in range(times):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        await asyncio.Event().wait()

    tasks = [asyncio.create_task(forgetful(times)) for times in range(4)]
    await asyncio.sleep(0)
    await end(tasks)
    assert all(task.cancelled() for task in tasks)
    await end([])
