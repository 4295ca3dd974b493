"""Random readings, the alerts that they come to by the plainest program, and a comparison with what alerting did."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from contracts.times import format_time
from tests.integration.alerting_place import SECOND, Place, Site
from tests.integration.alerting_service import until

DEVICES = [f"pump-{number}" for number in range(6)]
VALUE, CLEAR = 30.0, 25.0
RULES = {"at once": 0, "lasting": 3}
"""Names of rules, and for how many seconds a value has to be bad."""


class Said(NamedTuple):
    """A reading."""

    device: str
    ts: int
    value: float


def plan(rng: Random, steps: int, end: int) -> list[list[Said]]:
    """Make batches whose times end at `end`: mostly in order, some late, some that come twice."""
    made: list[list[Said]] = []
    for step in range(steps):
        ts = end - (steps - step) * SECOND
        for device in DEVICES:
            late = rng.randrange(1, 20) * SECOND if rng.random() < 0.1 else 0
            made.append([Said(device, ts - late, rng.choice([20.0, 26.0, 31.0, 31.0]))])
            if rng.random() < 0.1:
                made.append(made[-1])
    return made


def oracle(said: Sequence[Said], lasting: int) -> list[tuple[str, str | None]]:
    """Give the alerts of one device in the plainest way: when each began, and when it ended."""
    found: list[tuple[str, str | None]] = []
    last, began, firing = -1, -1, False
    for _, ts, value in said:
        if ts <= last:
            continue
        last = ts
        if firing:
            if value <= CLEAR:
                found[-1] = (found[-1][0], format_time(ts))
                began, firing = -1, False
            continue
        if value <= VALUE:
            began = -1
            continue
        began = ts if began < 0 else began
        if ts - began >= lasting:
            firing = True
            found.append((format_time(began), None))
    return found


async def make_rules(site: Site) -> None:
    """Make the rules of RULES."""
    for name, lasting in RULES.items():
        more = {"value": VALUE, "clear": CLEAR, "for": f"{lasting}s", "flapping": {"changes": 0}}
        await site.rule(*DEVICES, name=name, **more)


async def publish(site: Site, batches: Sequence[Sequence[Said]]) -> None:
    """Let the devices speak."""
    for batch in batches:
        for said in batch:
            await site.say(said.device, said.value, at=said.ts)
        await asyncio.sleep(0)


async def kill(place: Place, rng: Random, replicas: Sequence[int]) -> None:
    """Kill each of these and start it again, after some more notifications, or a while in which there were too few."""
    loop = asyncio.get_running_loop()
    for which in replicas:
        heard, deadline = len(place.ear.heard) + rng.randrange(1, 10), loop.time() + 2
        while len(place.ear.heard) < heard and loop.time() < deadline:
            await asyncio.sleep(0.001)
        place.kill(which)
        await asyncio.to_thread(place.start, which)


async def compare(site: Site, batches: Sequence[Sequence[Said]], seconds: float = 60) -> None:
    """Wait until the alerts are the right ones and all are told of, and look at what was told."""
    expected = {
        (device, name): oracle([one for batch in batches for one in batch if one.device == device], lasting * SECOND)
        for device in DEVICES
        for name, lasting in RULES.items()
    }

    async def settled() -> bool:
        return await kept(site) == expected and not await untold(site)

    try:
        await until(settled, seconds)
    except TimeoutError:
        assert await kept(site) == expected
        assert await untold(site) == []
    check_repeats(site.place)


async def kept(site: Site) -> dict[tuple[str, str], list[tuple[str, str | None]]]:
    """Give the alerts in the database that fire or did, as the oracle does."""
    return {
        (device, name): [
            (alert["started_at"], alert["resolved_at"])
            for alert in await site.alerts(device, "firing", "resolved")
            if alert["rule"] == name
        ]
        for device in DEVICES
        for name in RULES
    }


async def untold(site: Site) -> list[tuple[str, str]]:
    """Give the alerts of whose state the receiver was not told, and those that it was told of and are not there."""
    told = {(alert_id, state) for device in DEVICES for _, alert_id, state in site.ear.told(device)}
    alerts = [alert for device in DEVICES for alert in await site.alerts(device, "firing", "resolved")]
    known = {(alert["id"], alert["state"]) for alert in alerts}
    strangers = {alert_id for alert_id, _ in told} - {alert_id for alert_id, _ in known}
    return sorted(known - told) + sorted((stranger, "unknown") for stranger in strangers)


def check_repeats(place: Place) -> None:
    """Assert that what came again had the same id and was the same, and that no change was told under two ids."""
    bodies: dict[str, object] = {}
    told_in: dict[str, set[str]] = {}
    for _, body in place.ear.heard:
        assert bodies.setdefault(body["id"], body) == body
        for alert in body["alerts"]:
            told_in.setdefault(alert["id"], set()).add(body["id"])
    assert {event: ids for event, ids in told_in.items() if len(ids) > 1} == {}
