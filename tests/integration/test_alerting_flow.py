"""alerting against the real stream server and a real receiver: every alert once, whatever is killed."""

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from nats.aio.msg import Msg
from sqlalchemy.exc import OperationalError

from alerting.app import App
from alerting.repository import Repository
from contracts import logs, streams
from contracts.deadletters import DEAD_LETTER
from contracts.devices import DeviceRecord, encode_record
from contracts.jetstream import ensure_bucket, ensure_stream
from contracts.readings import READING_BATCH, ReadingBatch
from contracts.streams import deadletter_subject
from tests.conftest import Server
from tests.integration.alerting_service import RULE, Bench, Receiver, benching, receiving, until


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


async def test_an_alert_fires_is_told_and_resolves(bench: Bench) -> None:
    async with bench.service():
        await bench.add_rule()
        await bench.publish(20.0, 31.0, 26.0, 25.0)
        await until(lambda: len(bench.receiver.taken) == 2)
        [alert] = await bench.alerts()
    firing, resolved = bench.receiver.taken
    assert (firing["state"], resolved["state"]) == ("firing", "resolved")
    assert firing["alert_id"] == resolved["alert_id"] == alert["id"]
    assert (alert["state"], alert["value"], alert["threshold"]) == ("resolved", 25.0, 30.0)


async def test_everything_is_acknowledged_once_it_is_on_disk(bench: Bench) -> None:
    async with bench.service():
        await bench.add_rule()
        await bench.publish(20.0, 31.0, 32.0)

        async def acknowledged() -> bool:
            info = await bench.link.js.consumer_info("TELEMETRY", "alerting")
            return info.ack_floor is not None and info.ack_floor.stream_seq == 3

        await until(acknowledged)


async def test_readings_published_while_it_was_away_are_evaluated(bench: Bench) -> None:
    async with bench.service():
        await bench.add_rule()
    await bench.publish(31.0, 20.0, 31.0)
    async with bench.service():
        await until(lambda: len(bench.receiver.taken) == 3)
    assert [event["state"] for event in bench.receiver.taken] == ["firing", "resolved", "firing"]


async def test_a_crash_between_commit_and_acknowledgement_doubles_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.receiver.refusals = 10**6  # until the crash nothing is taken: ids can be compared
    reached = asyncio.Event()

    async def hang(_: Msg) -> None:
        reached.set()
        await asyncio.Event().wait()

    settings = bench.settings()
    before = asyncio.all_tasks()
    crashed = App(settings, logs.quiet())
    await crashed.start()
    await until(lambda: not crashed.waiting_for())
    answer = await httpx.AsyncClient(
        transport=httpx.ASGITransport(crashed.api), base_url="http://test", headers=bench.client.headers
    ).post("/api/v1/rules", json=RULE)
    assert answer.status_code == 201
    with monkeypatch.context() as patch:
        patch.setattr(Msg, "ack", hang)
        await bench.publish(31.0)
        await reached.wait()
        await until(lambda: len(bench.receiver.refused) >= 1)
        for task in asyncio.all_tasks() - before:  # no stop: it ends here and now
            task.cancel()
        await asyncio.gather(*(asyncio.all_tasks() - before), return_exceptions=True)
        await crashed._link.close()  # noqa: SLF001 - a dead process has no sockets,
        await crashed._engine.dispose()  # noqa: SLF001 - and no files
    bench.receiver.refusals = 0
    async with bench.service():
        await bench.publish(32.0, 20.0)
        await until(lambda: len(bench.receiver.taken) == 2)
        [alert] = await bench.alerts()
    assert alert["state"] == "resolved"
    assert bench.receiver.ids == [f"{alert['id']}.firing", f"{alert['id']}.resolved"]
    assert {event["id"] for event in bench.receiver.refused} == {f"{alert['id']}.firing"}
    assert bench.receiver.refused[0] == bench.receiver.taken[0], "a repeat is the same to the byte"


async def test_kill_minus_nine_at_any_moment_loses_and_doubles_nothing(bench: Bench) -> None:
    devices, excursions, process = [f"pump-{number}" for number in range(5)], 100, Process(bench.environment)

    async def publish() -> None:
        for number in range(excursions):
            await bench.publish(31.0, 32.0, 20.0, device=devices[number % 5])

    try:
        await until(lambda: ready(bench))
        await bench.add_rule()
        publishing = asyncio.create_task(publish())
        for taken in (15, 70, 135):  # in the middle of everything
            await until(lambda taken=taken: len(bench.receiver.taken) >= taken)  # type: ignore[misc]
            process.kill()
            process = Process(bench.environment)
        await publishing
        await until(lambda: ready(bench))
        await until(lambda: len(set(bench.receiver.ids)) == 2 * excursions)
        alerts = await bench.alerts()
    finally:
        process.kill()
    assert Counter(alert["state"] for alert in alerts) == {"resolved": excursions}
    assert {event["alert_id"] for event in bench.receiver.taken} == {alert["id"] for alert in alerts}
    for device in devices:
        mine = sorted((alert for alert in alerts if alert["device"] == device), key=lambda a: str(a["started_at"]))
        assert all(one["resolved_at"] < other["started_at"] for one, other in pairwise(mine))


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


async def test_a_receiver_that_fails_first_gets_everything_in_order(bench: Bench) -> None:
    bench.receiver.refusals = 2
    async with bench.service():
        await bench.add_rule()
        await bench.publish(31.0, 20.0)
        await until(lambda: len(bench.receiver.taken) == 2)
    assert [event["state"] for event in bench.receiver.taken] == ["firing", "resolved"]
    assert {event["id"] for event in bench.receiver.refused} == {bench.receiver.ids[0]}


async def test_a_receiver_that_hangs_holds_up_no_other_and_no_stop(bench: Bench) -> None:
    async with bench.service():
        await bench.add_rule(webhooks=[f"{bench.receiver.url}/hang", f"{bench.receiver.url}/"])
        await bench.publish(31.0, 20.0)
        await until(lambda: len(bench.receiver.taken) == 2)
        began = time.monotonic()
    assert time.monotonic() - began < 4


async def test_it_starts_before_its_peers_and_names_them(unconnected: Bench) -> None:
    bench = unconnected
    bench.server.kill()
    app = App(bench.settings(), logs.quiet())
    await app.start()
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


async def test_it_waits_for_its_database(unconnected: Bench, tmp_path: Path) -> None:
    (tmp_path / "not a folder").write_text("")
    unconnected.environment["ALERTING_DATABASE_URL"] = f"sqlite+aiosqlite:///{tmp_path}/not a folder/a.sqlite3"
    app = App(unconnected.settings(), logs.quiet())
    await app.start()
    assert "database" in app.waiting_for()
    (tmp_path / "not a folder").unlink()
    await until(lambda: "database" not in app.waiting_for())
    await app.stop()


async def test_the_stream_server_is_killed_and_comes_back(bench: Bench) -> None:
    async with bench.service() as app:
        await bench.add_rule()
        await bench.publish(31.0)
        await until(lambda: len(bench.receiver.taken) == 1)
        bench.server.kill()
        await until(lambda: "stream server" in app.waiting_for())
        bench.server.start()
        await until(lambda: not app.waiting_for())
        await until(lambda: bench.link.up)
        await bench.publish(32.0, 20.0, 31.0)
        await until(lambda: len(bench.receiver.taken) == 3)
        missed = {"stream": "TELEMETRY", "outcome": "missed"}
        assert app.registry.get_sample_value("alerting_messages_total", missed) is None
    assert [event["state"] for event in bench.receiver.taken] == ["firing", "resolved", "firing"]


async def test_a_commit_that_fails_is_made_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    really = Repository.commit
    failures = iter([False, True, True])  # the first commit is the rule's own

    async def commit(self: Repository, *args: Any, **more: Any) -> None:  # noqa: ANN401 - handed on
        await really(self, *args, **more)
        if next(failures, False):  # the answer of the database is lost
            raise OperationalError("COMMIT", {}, Exception("disk I/O error"))

    monkeypatch.setattr(Repository, "commit", commit)
    async with bench.service():
        await bench.add_rule()
        await bench.publish(31.0, 32.0, 20.0)
        await until(lambda: len(bench.receiver.taken) == 2)
        assert len(await bench.alerts()) == 1
    assert [event["state"] for event in bench.receiver.taken] == ["firing", "resolved"]


async def test_a_stream_that_was_made_anew_is_read_from_its_beginning(bench: Bench) -> None:
    async with bench.service() as app:
        await bench.add_rule()
        await bench.publish(20.0, 20.0, 31.0)
        await until(lambda: len(bench.receiver.taken) == 1)
        await bench.link.js.delete_stream("TELEMETRY")
        await until(lambda: app.waiting_for() == ["stream TELEMETRY"])
        await ensure_stream(bench.link.js, streams.TELEMETRY)
        await bench.publish(20.0, 31.0)
        await until(lambda: len(bench.receiver.taken) == 3)
    assert [event["state"] for event in bench.receiver.taken] == ["firing", "resolved", "firing"]


async def test_a_message_of_an_unknown_version_is_dead_lettered_and_its_neighbours_evaluated(bench: Bench) -> None:
    async with bench.service():
        await bench.add_rule()
        unknown = READING_BATCH.encode(ReadingBatch(2, 0, []))  # type: ignore[arg-type]
        await bench.publisher.publish("telemetry.3", unknown)
        await bench.publish(31.0)
        await until(lambda: len(bench.receiver.taken) == 1)
        message = await bench.link.js.get_msg("DEADLETTERS", subject=deadletter_subject("unknown_schema"))
    letter = DEAD_LETTER.decode(message.data or b"")
    assert (letter.payload, letter.topic, letter.service) == (unknown, "telemetry.3", "alerting")
    assert "schema version 2" in letter.detail


async def test_a_rule_for_a_profile_follows_the_registry(bench: Bench) -> None:
    async def register(device: str, profile: str) -> None:
        await bench.devices.put(device, encode_record(DeviceRecord(1, device, enabled=True, profile=profile)))

    await register("a", "pump")
    await register("b", "meter")
    async with bench.service():
        await bench.add_rule(selector={"profile": "pump"})
        await bench.publish(31.0, device="a")
        await bench.publish(31.0, device="b")
        await bench.publish(20.0, device="a")
        await until(lambda: len(bench.receiver.taken) == 2)
    assert {event["device"] for event in bench.receiver.taken} == {"a"}


async def test_deleting_a_rule_resolves_its_alerts_and_says_so(bench: Bench) -> None:
    async with bench.service():
        rule = await bench.add_rule()
        await bench.publish(31.0)
        await until(lambda: len(bench.receiver.taken) == 1)
        await bench.client.delete(f"/api/v1/rules/{rule}")
        await until(lambda: len(bench.receiver.taken) == 2)
        [alert] = await bench.alerts()
    assert (alert["state"], alert["reason"]) == ("resolved", "rule_deleted")


async def test_the_clock_fires_what_has_been_bad_for_long_enough(bench: Bench) -> None:
    async with bench.service():
        await bench.add_rule(**{"for": "2s"})
        bench.clock = time.time_ns()  # noqa: TID251 - as in Bench
        await bench.publish(31.0)
        bench.clock += 1_900_000_000
        await bench.publish(31.0)
        assert await bench.has("firing", 0)
        await until(lambda: bench.has("firing", 1))
        [alert] = await bench.alerts()
    assert alert["fired_at"] > alert["started_at"]
