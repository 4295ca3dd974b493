"""alerting against the real stream server and a real receiver: every alert once, whatever is killed."""

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from alerting.app import App
from alerting.repository import Repository
from contracts import logs, streams
from contracts.consumers import consumers_of
from contracts.deadletters import DEAD_LETTER
from contracts.derived import DERIVED_BATCH, DerivedBatch
from contracts.devices import DeviceRecord, encode_record
from contracts.jetstream import ensure_bucket, ensure_stream
from contracts.readings import READING_BATCH, Reading, ReadingBatch
from contracts.streams import deadletter_subject
from tests.conftest import Server
from tests.integration.alerting_service import Bench, Receiver, benching, receiving, until


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
async def unconnected(stream: Server, tmp_path: Path, receiver: Receiver) -> AsyncIterator[Bench]:
    async with benching(stream, tmp_path, receiver) as bench:
        yield bench


@pytest.fixture
async def bench(unconnected: Bench) -> Bench:
    await unconnected.connect()
    return unconnected


async def acknowledged(bench: Bench) -> bool:
    infos = [info for info in await consumers_of(bench.link.js, streams.TELEMETRY) if info.name.startswith("alerting-")]
    return len(infos) == streams.DEFAULT_PARTITIONS and not any(
        info.num_pending or info.num_ack_pending for info in infos
    )


async def test_an_alert_fires_is_told_and_resolves_and_the_stream_is_acknowledged(bench: Bench) -> None:
    async with bench.service() as app:
        await bench.add_rule()
        await bench.publish(20.0, 31.0)
        await until(lambda: len(bench.receiver.told) == 1)
        await bench.publish(26.0, 25.0)
        await until(lambda: len(bench.receiver.told) == 2)
        [alert] = await bench.alerts()
        await until(partial(acknowledged, bench))
        assert app.registry.get_sample_value("alerting_transitions_total", {"state": "resolved"}) == 1
    firing, resolved = bench.receiver.told
    assert (firing["state"], resolved["state"]) == ("firing", "resolved")
    assert firing["alert_id"] == resolved["alert_id"] == alert["id"]
    assert (alert["state"], alert["value"], alert["threshold"]) == ("resolved", 25.0, 30.0)


async def test_what_came_while_it_was_away_is_evaluated(bench: Bench) -> None:
    async with bench.service():
        await bench.add_rule()
    await bench.publish(31.0, 20.0, 31.0)
    async with bench.service():
        await until(lambda: bench.has("firing", 1))
        assert await bench.has("resolved", 1)


async def test_what_cannot_be_read_is_put_aside_and_computed_values_and_profiles_count(bench: Bench) -> None:
    for device, profile in (("a", "pump"), ("b", "meter")):
        record = DeviceRecord(1, device, enabled=True, profile=profile)
        await bench.devices.put(device, encode_record(record))
    async with bench.service():
        rule = await bench.add_rule(selector={"profile": "pump"})
        unknown = READING_BATCH.encode(ReadingBatch(2, 0, []))  # type: ignore[arg-type]
        await bench.publisher.publish("telemetry.3", unknown)
        await bench.publish(31.0, device="b")
        await bench.publish(31.0, device="a")
        await until(lambda: bench.has("firing", 1))
        message = await bench.link.js.get_msg("DEADLETTERS", subject=deadletter_subject("unknown_schema"))
        letter = DEAD_LETTER.decode(message.data or b"")
        assert (letter.payload, letter.topic, letter.service) == (unknown, "telemetry.3", "alerting")
        await ensure_stream(bench.link.js, streams.DERIVED)
        bench.clock += 1_000_000
        partition = streams.partition_of("a", streams.DEFAULT_PARTITIONS)
        cool = Reading("a", bench.clock, bench.clock, {"temperature": 20.0})
        batch = DERIVED_BATCH.encode(DerivedBatch(1, partition, [], [cool]))
        await bench.publisher.publish(streams.derived_subject(partition), batch)
        await until(lambda: bench.has("resolved", 1))
        await bench.publish(31.0, device="a")
        await until(lambda: bench.has("firing", 1))
        await bench.client.delete(f"/api/v1/rules/{rule}")
        await until(lambda: bench.has("resolved", 2))
        alerts = await bench.alerts()
    assert {alert["device"] for alert in alerts} == {"a"}
    assert sorted(alert["reason"] for alert in alerts) == ["cleared", "rule_deleted"]


async def test_the_clock_fires_what_has_been_bad_for_long_enough(bench: Bench) -> None:
    async with bench.service():
        await bench.add_rule(**{"for": "2s"})
        bench.clock = time.time_ns()  # noqa: TID251 - as in Bench
        await bench.publish(31.0)
        bench.clock += 1_900_000_000
        await bench.publish(31.0)
        await until(lambda: bench.has("firing", 1))
        [alert] = await bench.alerts()
    assert alert["fired_at"] > alert["started_at"]


async def test_kill_minus_nine_at_any_moment_loses_and_doubles_nothing(bench: Bench) -> None:
    devices, excursions, process = [f"pump-{number}" for number in range(5)], 60, Process(bench.environment)

    async def publish() -> None:
        for number in range(excursions):
            await bench.publish(31.0, 32.0, 20.0, device=devices[number % 5])
            await asyncio.sleep(0.02)

    try:
        await until(partial(ready, bench))
        await bench.add_rule(flapping={"changes": 0})
        publishing = asyncio.create_task(publish())
        for over in (5, 20, 40):  # in the middle of everything
            await until(partial(some_are_over, bench, over))
            process.kill()
            process = Process(bench.environment)
            await until(partial(ready, bench))
        await publishing
        await until(partial(some_are_over, bench, excursions))
        alerts = await bench.alerts()
        await until(lambda: told(bench.receiver, "resolved") == {alert["id"] for alert in alerts})
    finally:
        process.kill()
    assert Counter(alert["state"] for alert in alerts) == {"resolved": excursions}
    assert told(bench.receiver, "firing") <= {alert["id"] for alert in alerts}
    for device in devices:
        mine = sorted((alert for alert in alerts if alert["device"] == device), key=lambda a: str(a["started_at"]))
        assert all(one["resolved_at"] < other["started_at"] for one, other in pairwise(mine))


def told(receiver: Receiver, state: str) -> set[str]:
    """Give the alerts of which it was told that they are in a state."""
    return {alert["alert_id"] for alert in receiver.told if alert["state"] == state}


async def some_are_over(bench: Bench, count: int) -> bool:
    return len(await bench.alerts(state="resolved")) >= count


class Process:
    """alerting in a process of its own."""

    def __init__(self, environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", "alerting"]
        self._process = subprocess.Popen(command, env=os.environ | environment, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


async def ready(bench: Bench) -> bool:
    try:
        return (await bench.client.get("/readyz")).is_success
    except httpx.HTTPError:
        return False


async def test_it_starts_before_its_peers_and_names_them(unconnected: Bench, tmp_path: Path) -> None:
    bench = unconnected
    (tmp_path / "not a folder").write_text("")
    bench.environment["ALERTING_DATABASE_URL"] = f"sqlite+aiosqlite:///{tmp_path}/not a folder/a.sqlite3"
    bench.server.kill()
    app = App(bench.settings(), logs.quiet())
    await app.start()
    await until(lambda: app.waiting_for() == ["stream server", "bucket devices", "database"])
    (tmp_path / "not a folder").unlink()
    await until(lambda: app.waiting_for() == ["stream server", "bucket devices"])
    bench.server.start()
    await until(lambda: app.waiting_for() == ["bucket devices"])
    await bench.link.connect()
    await ensure_bucket(bench.link.js, streams.DEVICES_BUCKET)
    await until(lambda: app.waiting_for() == ["stream TELEMETRY"])
    await ensure_stream(bench.link.js, streams.TELEMETRY)
    await until(lambda: app.waiting_for() == [])
    await app.stop()
    await app.stop()


async def test_the_stream_server_is_killed_and_the_stream_is_made_anew(bench: Bench) -> None:
    async with bench.service() as app:
        await bench.add_rule()
        await bench.publish(31.0)
        await until(lambda: bench.has("firing", 1))
        bench.server.kill()
        await until(lambda: "stream server" in app.waiting_for())
        bench.server.start()
        await until(lambda: bench.link.up)
        await bench.publish(32.0, 20.0, 31.0)
        await until(lambda: bench.has("resolved", 1))
        await until(lambda: bench.has("firing", 1))
        await bench.link.js.delete_stream("TELEMETRY")
        await until(lambda: "stream TELEMETRY" in app.waiting_for())
        await ensure_stream(bench.link.js, streams.TELEMETRY)
        await bench.publish(20.0, 31.0)
        await until(lambda: bench.has("resolved", 2))
        await until(lambda: bench.has("firing", 1))


async def test_a_commit_of_which_the_answer_is_lost_is_made_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    really = Repository.commit
    failures = iter([True, False, True])

    async def commit(self: Repository, *given: Any) -> set[int]:  # noqa: ANN401 - handed on
        lost = await really(self, *given)
        if next(failures, False):
            raise OperationalError("COMMIT", {}, Exception("disk I/O error"))
        return lost

    async with bench.service() as app:
        await bench.add_rule()
        monkeypatch.setattr(Repository, "commit", commit)
        await bench.publish(31.0, 32.0, 20.0)
        await until(lambda: bench.has("resolved", 1))
        await until(partial(acknowledged, bench))
        await until(lambda: not app.waiting_for())
        assert len(await bench.alerts()) == 1
