"""devices_api with the real stream server: records, presence, and the server coming and going."""

import asyncio
import contextlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from nats.js.errors import NotFoundError

from contracts import logs, streams
from contracts.activity import ACTIVITY_MESSAGE, Activity, Heard
from contracts.backoff import end
from contracts.devices import Calibration, DeviceRecord, Metric, decode_record, encode_record, is_profile_key
from contracts.directory import Directory
from contracts.jetstream import Link, Publisher, ensure_bucket
from contracts.presence import PRESENCE_MESSAGE, Presence
from contracts.streams import presence_subject
from devices_api.errors import UnavailableError
from devices_api.registry.bucket import Bucket, OvertakenError
from devices_api.registry.hearing import Taken
from devices_api.repository import Repository
from tests.conftest import TOKEN, Server
from tests.integration.registry_service import Service, running, until


async def records(link: Link) -> dict[str, DeviceRecord]:
    """Read all device records."""
    bucket = await link.js.key_value(streams.DEVICES_BUCKET)
    found = {}
    with contextlib.suppress(NotFoundError):
        for key in (await link.js.stream_info("KV_devices", subjects_filter=">")).state.subjects or {}:
            if is_profile_key(key.removeprefix("$KV.devices.")):
                continue
            with contextlib.suppress(NotFoundError):
                entry = await bucket.get(key.removeprefix("$KV.devices."))
                record = decode_record(entry.value or b"")
                found[record.id] = record
    return found


async def tell(link: Link, *messages: bytes, subject: str = presence_subject(0)) -> None:
    publisher = Publisher(link, timeout=30)
    await publisher.start()
    for message in messages:
        await publisher.publish(subject, message)


def presence(device: str, state: Any, at: int = 1) -> bytes:  # noqa: ANN401 - a state, or a wrong one
    return PRESENCE_MESSAGE.encode(Presence(1, device, state, at))


async def test_changes_reach_the_other_services(service: Service, peer: Link) -> None:
    directory = Directory(peer, logs.quiet())
    following = asyncio.create_task(directory.follow())
    await service.register("a", "pump 7 °")
    await until(lambda: len(directory) == 2, "both are known")
    await service.client.patch("/devices/a", json={"enabled": False, "profile": "pump", "tags": {"x": "1"}})
    await service.client.delete("/devices/pump 7 °")
    await until(lambda: (found := directory.get("pump 7 °")) is not None and not found.enabled, "one is deleted")
    await service.client.delete("/devices/pump 7 °?purge=true")
    await until(lambda: len(directory) == 1, "one is gone")
    assert directory.get("a") == DeviceRecord(1, "a", enabled=False, profile="pump", tags={"x": "1"})
    await end([following])


async def test_a_profile_reaches_the_records_of_its_devices(service: Service, peer: Link) -> None:
    directory = Directory(peer, logs.quiet())
    following = asyncio.create_task(directory.follow())
    calibration = {"temperature": [{"offset": 0.5}]}
    await service.client.post("/devices", json={"id": "a", "profile": "still", "calibration": calibration})
    await service.client.post("/devices", json={"id": "b", "profile": "still", "zone": "Asia/Tokyo"})
    await service.client.post("/devices", json={"id": "c"})
    metrics = {"temperature": {"unit": "°C", "min": -40, "max": 85}}
    body = {"metrics": metrics, "zone": "Europe/Paris", "keep_raw": True, "message_rate": "20:1,600:60"}
    assert (await service.client.put("/profiles/still", json=body)).status_code == 201
    await until(lambda: all((found := directory.get(id_)) and found.metrics for id_ in "ab"), "both have it")
    metric = Metric(unit="degC", min=-40.0, max=85.0)
    expected = DeviceRecord(
        1,
        "b",
        enabled=True,
        profile="still",
        metrics={"temperature": metric},
        zone="Asia/Tokyo",
        keep_raw=True,
        message_rate="20:1,600:60",
    )
    assert directory.get("b") == expected
    own = {"temperature": replace(metric, calibration=[Calibration(offset=0.5)])}
    assert directory.get("a") == replace(expected, id="a", metrics=own, zone="Europe/Paris")
    await until(lambda: directory.get("c") == DeviceRecord(1, "c", enabled=True, profile="default"), "c has none")
    await service.client.put("/profiles/still", json={})
    await until(lambda: all((found := directory.get(id_)) and not found.keep_raw for id_ in "ab"), "it is gone")
    await end([following])


async def test_facts_and_reasons_reach_the_registry(service: Service, peer: Link) -> None:
    await service.register("a")
    described = Presence(1, "a", "described", 1, facts={"model": "ST-2"})
    offline = Presence(1, "a", "offline", 2, "will")
    stranger = Presence(1, "b", "described", 3, facts={"model": "X", "name": "Y"})
    await tell(peer, *map(PRESENCE_MESSAGE.encode, (described, offline, stranger)))

    async def told() -> bool:
        shown = await service.get("/devices/a")
        return (shown["facts"], shown["online"], shown["reason"]) == ({"model": "ST-2"}, False, "will")

    await until(told, "a is described")
    await until(lambda: service.metric("refused_total", reason="unregistered_facts") == 2, "b's facts are counted")


async def test_a_copy_knows_its_age(stream: Server, peer: Link) -> None:
    now = 1_000.0
    directory = Directory(peer, logs.quiet(), clock=lambda: now)
    following = asyncio.create_task(directory.follow())
    assert directory.age() == math.inf
    bucket = await ensure_bucket(peer.js, streams.DEVICES_BUCKET)
    await bucket.put("a", encode_record(DeviceRecord(1, "a", enabled=True, profile="")))
    await until(lambda: directory.get("a") is not None and directory.age() == 0, "it is read and current")
    now += 60
    await until(lambda: directory.age() == 0, "it is confirmed without any change")
    stream.kill()
    await until(lambda: not peer.up, "the stream server is missed")
    now += 60
    assert directory.age() == 60
    assert directory.get("a") is not None, "the copy is used on"
    stream.start()
    await until(lambda: directory.age() == 0, "it is current again")
    await end([following])


async def test_a_bucket_that_is_made_anew_is_followed(peer: Link) -> None:
    now = 1_000.0
    directory = Directory(peer, logs.quiet(), clock=lambda: now)
    following = asyncio.create_task(directory.follow())

    async def put(*ids: str) -> None:
        bucket = await ensure_bucket(peer.js, streams.DEVICES_BUCKET)
        for id_ in ids:
            await bucket.put(id_, encode_record(DeviceRecord(1, id_, enabled=True, profile="")))

    await put("old-1", "old-2", "old-3")
    await until(lambda: directory.get("old-3") is not None and directory.age() == 0, "the old one is read")
    await peer.js.delete_key_value(streams.DEVICES_BUCKET)
    await put("new-1", "new-2", "new-3")
    now += 5
    await until(lambda: directory.get("new-3") is not None and directory.age() == 0, "the new one is read")
    assert directory.get("old-1") is not None, "whoever fills the bucket has a minute"
    now += 60
    await until(lambda: directory.get("old-1") is None, "what it does not hold is forgotten")
    assert len(directory) == 3
    await end([following])


async def test_changes_made_while_the_stream_server_is_away_follow(
    service: Service, stream: Server, peer: Link
) -> None:
    await service.register("before")
    stream.kill()
    await until(lambda: service.app.waiting_for() == ["stream server"], "it is missed")
    await service.register("during")
    await service.client.delete("/devices/before?purge=true")
    assert [item["id"] for item in (await service.get("/devices"))["items"]] == ["during"]
    answer = await service.client.get("/dead-letters")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    await until(lambda: service.metric("outbox_pending") >= 2, "the changes wait")
    stream.start()
    await service.ready()
    await until(lambda: peer.up, "the peer is back")

    async def arrived() -> bool:
        return set(await records(peer)) == {"during"}

    await until(arrived, "the changes arrived")


async def test_a_stream_server_that_lost_everything_gets_everything_again(service: Service, peer: Link) -> None:
    await service.register("a", "b")

    async def both() -> bool:
        return set(await records(peer)) == {"a", "b"}

    await until(both, "both are there")
    for name in ("KV_devices", "PRESENCE", "DEADLETTERS"):
        await peer.js.delete_stream(name)
    await service.register("c")  # what is put on nothing is not acknowledged

    async def all_three() -> bool:
        with contextlib.suppress(NotFoundError):
            return set(await records(peer)) == {"a", "b", "c"}
        return False

    await until(all_three, "all are there again")
    await service.ready()
    assert (await peer.js.stream_info("PRESENCE")).config.name == "PRESENCE"


async def test_it_starts_before_the_stream_server_and_serves_the_registry(stream: Server, tmp_path: Path) -> None:
    stream.kill()
    async with running(stream, tmp_path) as service:
        await until(lambda: service.app.waiting_for() == ["stream server"], "the database is open")
        await service.register("a")
        assert (await service.get("/devices/a"))["id"] == "a"
        stream.start()
        await service.ready()
    link = await Link(stream.nats_url, TOKEN, "peer", logs.quiet()).connect()
    assert set(await records(link)) <= {"a"}
    await link.close()


async def test_a_restart_keeps_devices_and_what_was_not_published(stream: Server, tmp_path: Path, peer: Link) -> None:
    async with running(stream, tmp_path) as service:
        await service.ready()
        await service.register("a")
    async with running(stream, tmp_path) as service:
        await service.ready()
        assert (await service.get("/devices/a"))["id"] == "a"

        async def arrived() -> bool:
            return set(await records(peer)) == {"a"}

        await until(arrived, "it is in the bucket")


async def test_a_device_that_is_seen_is_registered_and_published(service: Service, peer: Link) -> None:
    await tell(peer, presence("new", "online", 5), presence("new", "seen", 6), presence("new", "seen", 7))

    async def known() -> bool:
        return "new" in await records(peer)

    await until(known, "it is in the bucket")
    device = await service.get("/devices/new")
    assert (device["online"], device["last_changed"]) == (True, "1970-01-01T00:00:00.000000005Z")
    await tell(peer, presence("new", "offline", 9), presence("new", "online", 8))

    async def offline() -> bool:
        return (await service.get("/devices/new"))["online"] is False

    await until(offline, "it is offline")
    await until(lambda: service.metric("presence_events_total", state="online") == 2, "all are counted")
    assert service.metric("auto_registered_total") == 1

    async def acknowledged() -> bool:
        return (await peer.js.stream_info("PRESENCE")).state.messages == 0

    await until(acknowledged, "all are acknowledged")


async def test_a_full_registry_refuses_and_counts(stream: Server, tmp_path: Path, peer: Link) -> None:
    async with running(stream, tmp_path, auto_register_limit=2) as service:
        await service.ready()
        await tell(peer, *(presence(f"d{n}", "seen") for n in range(5)))
        await until(lambda: service.metric("refused_total", reason="auto_register_limit") == 3, "three are refused")
        assert len((await service.get("/devices"))["items"]) == 2


async def test_presence_that_cannot_be_read_becomes_dead_letters(service: Service, peer: Link) -> None:
    await tell(peer, presence("a", "seen"), b"\x93\x63nonsense", presence("b/c", "seen"), presence("d", "seen"))
    await until(lambda: service.metric("auto_registered_total") == 2, "the good ones are taken")
    page = await service.get("/dead-letters")
    assert [(item["reason"], item["service"]) for item in page["items"]] == [
        ("bad_device", "devices_api"),
        ("unknown_schema", "devices_api"),
    ]
    answer = await service.client.post(f"/dead-letters/{page['items'][0]['id']}/replay")
    assert answer.status_code == 409


async def test_one_message_that_nobody_foresaw_costs_no_other(
    service: Service, peer: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Repository.take_presence

    async def fail_for_b(self: Repository, messages: Sequence[Presence], now: int, limit: int) -> Taken:
        if any(message.device == "b" for message in messages):
            raise ZeroDivisionError("nobody foresaw this")
        return await take(self, messages, now, limit)

    monkeypatch.setattr(Repository, "take_presence", fail_for_b)
    await tell(peer, *(presence(device, "seen") for device in "abc"))
    await until(lambda: service.metric("dead_letters_total", reason="unexpected") == 1, "it is a dead letter")
    await until(lambda: service.metric("auto_registered_total") == 2, "the others are registered")
    [letter] = (await service.get("/dead-letters", device="b"))["items"]
    assert "ZeroDivisionError: nobody foresaw this" in letter["detail"]


async def test_presence_waits_in_order_while_the_database_is_away(
    service: Service, peer: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, tries, taken = Repository.take_presence, 0, list[str]()

    async def fail_twice(self: Repository, messages: Sequence[Presence], now: int, limit: int) -> Taken:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise UnavailableError("database")
        taken.extend(message.device for message in messages)
        return await take(self, messages, now, limit)

    monkeypatch.setattr(Repository, "take_presence", fail_twice)
    await tell(peer, *(presence(device, "seen") for device in "abc"))
    await until(lambda: service.metric("auto_registered_total") == 3, "all are registered")
    assert taken == ["a", "b", "c"]


async def test_activity_is_added_to_the_devices(service: Service, peer: Link) -> None:
    await service.register("a", "b")
    for at in (1, 2):
        message = Activity(1, at, {"a": Heard(2, 10 * at), "b": Heard(1, 5)})
        await tell(peer, ACTIVITY_MESSAGE.encode(message), subject=streams.ACTIVITY.subjects)

    async def counted() -> bool:
        return [(await service.get(f"/devices/{id_}"))["messages"] for id_ in "ab"] == [4, 2]

    await until(counted, "counted")
    assert (await service.get("/devices/a"))["last_seen"] == "1970-01-01T00:00:00.000000020Z"

    async def acknowledged() -> bool:
        return (await peer.js.stream_info(streams.ACTIVITY.name)).state.messages == 0

    await until(acknowledged, "acknowledged")


async def test_a_write_to_the_bucket_is_refused_where_another_came_before_it(peer: Link) -> None:
    await ensure_bucket(peer.js, streams.DEVICES_BUCKET)
    bucket = Bucket(peer.js)
    assert await bucket.end() == 0
    await bucket.write("a", b"1", 0)
    for after in (0, 2):
        with pytest.raises(OvertakenError):
            await bucket.write("a", b"0", after)
    await bucket.write("b", b"2", 1)
    await bucket.write("a", None, 2)
    with pytest.raises(OvertakenError):
        await bucket.write("b", None, 2)
    found = await peer.js.key_value(streams.DEVICES_BUCKET)
    assert (await bucket.end(), await found.keys()) == (3, ["b"])


async def test_of_two_replicas_one_reads_presence_until_it_stops(stream: Server, peer: Link, tmp_path: Path) -> None:
    async with running(stream, tmp_path) as one:
        await one.ready()
        await tell(peer, presence("a", "online"))
        await until(lambda: one.metric("presence_events_total", state="online") == 1, "one reads")
        async with running(stream, tmp_path) as other:
            await other.ready()
            await tell(peer, *(presence(f"d{number}", "online") for number in range(50)))
            await until(lambda: one.metric("presence_events_total", state="online") == 51, "one reads on")
            assert other.metric("presence_events_total", state="online") == 0
            await one.app.stop()
            await tell(peer, presence("b", "online"))
            await until(lambda: other.metric("presence_events_total", state="online") == 1, "the other reads")
