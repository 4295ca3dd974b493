"""Delays, and work that is kept going."""

import asyncio
from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import logs
from contracts.backoff import delays, keep_running


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
