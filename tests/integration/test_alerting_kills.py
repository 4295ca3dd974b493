"""alerting killed at any moment: the alerts are those that the readings make, and each is told of."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.conftest import stream_server
from tests.integration.alerting_oracle import compare, kill, make_rules, plan, publish
from tests.integration.alerting_place import SECOND, Place, at, placed

STEPS, KILLS = 100, 2
LONG_STEPS, LONG_KILLS = 300, 12


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    database = f"sqlite+aiosqlite:///{tmp_path}/alerting.sqlite3"
    with stream_server(tmp_path) as server, placed(server, database) as place:
        yield place


@pytest.mark.parametrize(
    ("seed", "steps", "kills"),
    [(0, STEPS, KILLS), *(pytest.param(seed, LONG_STEPS, LONG_KILLS, marks=pytest.mark.soak) for seed in range(1, 6))],
)
async def test_kills_at_any_moment_lose_and_double_no_alert_and_no_notification(
    place: Place, seed: int, steps: int, kills: int
) -> None:
    rng = Random(seed)
    place.ear.refuses, place.ear.rng = 0.03, Random(seed)
    async with at(place) as site:
        batches = plan(rng, steps, site.now - 60 * SECOND)
        await make_rules(site)
        killing = asyncio.create_task(kill(place, rng, [0] * kills))
        await publish(site, batches)
        await killing
        await compare(site, batches)
