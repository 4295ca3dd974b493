"""How long alerting takes to load many rules over many devices, and how much memory they need.

Every device is registered and has spoken, so that its memory is in the database. Then alerting is started once more. It
has loaded when it says that it is ready, and has as many rules as there are. That it then judges is shown by readings
that fire. Memory is what is resident when all of that is done, and the most that it ever was in that process.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from contracts.devices import DeviceRecord, ProfileRecord
from contracts.readings import Reading
from contracts.streams import partition_of
from tests.bench.judging import fresh
from tests.bench.processor import PARTITIONS
from tests.bench.telemetry import METRIC, encoded
from tests.bench.watching import Alerting, Site, publish, register, site, waiting

PROFILES, PER_PROFILE = 100, 10
GROUP_DEVICES, PER_GROUP = 100, 4
"""Each profile has ten rules, of which one is a condition over two metrics and one looks for absent devices; each group
has four. What is left of the rules is for one device each."""

INTERVAL_S = 600.0
MARK_S, MARK_MIB = 10.0, 2048.0
NEVER, BAD = 1_000, 2_000.0


def records(devices: int) -> Iterator[DeviceRecord | ProfileRecord]:
    """Make all records."""
    for number in range(PROFILES):
        yield ProfileRecord(1, f"profile-{number}", interval=INTERVAL_S)
    for number in range(devices):
        tags, group = {"site": f"site-{number % 50}"}, f"group-{number // GROUP_DEVICES}"
        profile = f"profile-{number % PROFILES}"
        yield DeviceRecord(1, f"device-{number}", enabled=True, profile=profile, tags=tags, groups=[group])


def rules(count: int, devices: int) -> Iterator[dict[str, Any]]:
    """Make up to `count` rules, which look at what all devices send."""
    made: list[dict[str, Any]] = []
    for profile in range(PROFILES):
        selector = {"profile": f"profile-{profile}"}
        made.append({"kind": "absence", "selector": selector})
        made.append({"kind": "condition", "condition": f"{METRIC}0 > {METRIC}1 + {NEVER}.0", "selector": selector})
        made += [{"metric": f"{METRIC}{n % 3}", "value": NEVER, "selector": selector} for n in range(PER_PROFILE - 2)]
    for group in range(devices // GROUP_DEVICES):
        those = {"groups": [f"group-{group}"]}
        made += [{"metric": f"{METRIC}{n % 3}", "value": NEVER, "selector": those} for n in range(PER_GROUP)]
    for device in range(max(0, count - len(made))):
        made.append({"metric": f"{METRIC}0", "value": NEVER, "selector": {"devices": [f"device-{device % devices}"]}})
    for number, rule in enumerate(made[:count]):
        yield {"name": f"rule {number}"} | rule


async def _until_acknowledged(alerting: Alerting, at: Site) -> None:
    async with at.stream() as link:

        async def acknowledged() -> bool:
            return not await waiting(link)

        await alerting.until(acknowledged, "all is acknowledged")


async def load(at: Site, count: int, devices: int) -> dict[str, float]:
    """Fill the bucket and the database, and take the measure of the start that follows."""
    async with at.stream() as link:
        await register(link, list(records(devices)))
        await at.put(rules(count, devices))
        async with at.alerting() as alerting:
            await alerting.until(alerting.ready, "alerting is ready", poll=0.2)
            await publish(link, fresh(devices, devices, time.time_ns()))  # noqa: TID251 - readings of now
            await _until_acknowledged(alerting, at)
        began = time.monotonic()
        async with at.alerting() as alerting:
            await alerting.until(alerting.ready, "alerting is ready")
            ready_s, cpu_s = time.monotonic() - began, alerting.cpu_s()
            rules_loaded = await alerting.metric("alerting_rules")
            ready_rss = alerting.process.memory_info().rss
            now = time.time_ns()  # noqa: TID251 - as above
            bad = [Reading("device-0", now, now, {f"{METRIC}0": BAD})]
            await publish(link, [encoded(partition_of("device-0", PARTITIONS), bad)])

            async def fired() -> bool:
                answer = await alerting.client.get("/api/v1/alerts", params={"device": "device-0", "state": "firing"})
                return bool(answer.json()["items"])

            await alerting.until(fired, "a bad reading fires")
            judges_s = time.monotonic() - began
            await publish(link, fresh(devices, devices, time.time_ns()))  # noqa: TID251 - as above
            await _until_acknowledged(alerting, at)
            rss = alerting.process.memory_info().rss
    if rules_loaded != count:
        raise RuntimeError(f"{rules_loaded:.0f} of {count} rules are loaded")
    return {
        "ready_s": ready_s,
        "cpu_s": cpu_s,
        "first_alert_s": judges_s,
        "ready_rss_mib": ready_rss / (1 << 20),
        "rss_mib": rss / (1 << 20),
    }


def loading(count: int, devices: int) -> dict[str, float]:
    """Measure once, and print a table."""
    print(f"  loading {count} rules over {devices} devices", flush=True)
    with tempfile.TemporaryDirectory(prefix="sensorium-bench-") as directory, site(Path(directory)) as at:
        told = {name: round(value, 2) for name, value in asyncio.run(load(at, count, devices)).items()}
    marks = {"ready_s": f"< {MARK_S:g}", "rss_mib": f"< {MARK_MIB:g}"}
    for name, value in told.items():
        print(f"    {name:<26}{value:10.1f}" + (f"   mark {marks[name]}" if name in marks else ""))
    return told | {"rules": count, "devices": devices, "mark_s": MARK_S, "mark_mib": MARK_MIB}
