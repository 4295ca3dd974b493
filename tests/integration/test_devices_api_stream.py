"""devices_api with the real stream server: records, presence, dead letters, and the server coming and going."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from nats.js.errors import NotFoundError
from pydantic import SecretStr

from contracts import logs, streams
from contracts.deadletters import DEAD_LETTER, DeadLetter, Reason
from contracts.devices import DeviceRecord, decode_record, encode_record
from contracts.directory import Directory
from contracts.jetstream import Link, Publisher, ensure_bucket
from contracts.presence import PRESENCE_MESSAGE, Presence
from contracts.streams import deadletter_subject, presence_subject
from devices_api.app import App
from devices_api.errors import UnavailableError
from devices_api.repository import Repository, Taken
from devices_api.settings import Settings
from tests.conftest import TOKEN, Server

KEY = "a-key-for-these-tests"


async def until(condition: Callable[[], bool | Awaitable[bool]], what: str, seconds: float = 15) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        met = condition()
        if met if isinstance(met, bool) else await met:
            return
        if loop.time() > deadline:
            pytest.fail(f"not within {seconds} s: {what}")
        await asyncio.sleep(0.02)


class Service:
    """devices_api in this process, and a client of it."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app.api),
            base_url="http://api/api/v1",
            headers={"Authorization": f"Bearer {KEY}"},
        )

    async def ready(self) -> None:
        await until(lambda: self.app.waiting_for() == [], "ready")

    async def register(self, *ids: str) -> None:
        for id_ in ids:
            assert (await self.client.post("/devices", json={"id": id_})).status_code == 201

    async def get(self, path: str, **query: str | int) -> Any:  # noqa: ANN401 - whatever the API answers
        answer = await self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def metric(self, name: str, **labels: str) -> float:
        return self.app.registry.get_sample_value(f"devices_api_{name}", labels) or 0.0


@contextlib.asynccontextmanager
async def running(stream: Server, directory: Path, limit: int = 10_000) -> AsyncIterator[Service]:
    settings = Settings(
        port=0,
        key=SecretStr(KEY),
        nats_url=stream.nats_url,
        nats_token=SecretStr(TOKEN),
        database_url=SecretStr(f"sqlite+aiosqlite:///{directory}/registry.sqlite3"),
        store=directory / "timeseries.sqlite3",
        auto_register_limit=limit,
    )
    service = Service(App(settings, logs.quiet()))
    await service.app.start()
    try:
        yield service
    finally:
        await service.client.aclose()
        await service.app.stop()


@pytest.fixture
async def service(stream: Server, tmp_path: Path) -> AsyncIterator[Service]:
    async with running(stream, tmp_path) as service:
        await service.ready()
        yield service


@pytest.fixture
async def peer(stream: Server) -> AsyncIterator[Link]:
    """Connect to the stream server as another service does."""
    link = await Link(stream.nats_url, TOKEN, "peer", logs.quiet()).connect()
    yield link
    await link.close()


async def records(link: Link) -> dict[str, DeviceRecord]:
    """Read the whole bucket."""
    bucket = await link.js.key_value(streams.DEVICES_BUCKET)
    found = {}
    with contextlib.suppress(NotFoundError):
        for key in (await link.js.stream_info("KV_devices", subjects_filter=">")).state.subjects or {}:
            with contextlib.suppress(NotFoundError):
                entry = await bucket.get(key.removeprefix("$KV.devices."))
                record = decode_record(entry.value or b"")
                found[record.id] = record
    return found


async def tell(link: Link, *messages: bytes, subject: str = presence_subject(0)) -> None:
    publisher = Publisher(link)
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
    await until(lambda: len(directory) == 1, "one is gone")
    assert directory.get("a") == DeviceRecord(1, "a", enabled=False, profile="pump", tags={"x": "1"})
    following.cancel()


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
    following.cancel()


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
    await put("new-1")
    now += 5
    await until(lambda: directory.get("new-1") is not None and directory.age() == 0, "the new one is read")
    assert len(directory) == 1
    following.cancel()


async def test_changes_made_while_the_stream_server_is_away_follow(
    service: Service, stream: Server, peer: Link
) -> None:
    await service.register("before")
    stream.kill()
    await until(lambda: service.app.waiting_for() == ["stream server"], "it is missed")
    await service.register("during")
    await service.client.delete("/devices/before")
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
    async with running(stream, tmp_path, limit=2) as service:
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


def rejected(n: int, reason: Reason = Reason.MALFORMED, device: str = "a") -> tuple[str, bytes]:
    letter = DeadLetter(1, reason, f"number {n}", f"devices/{device}/telemetry", b"%d" % n, n, "ingest", device)
    return deadletter_subject(reason), DEAD_LETTER.encode(letter)


async def reject(link: Link, *letters: tuple[str, bytes]) -> None:
    await asyncio.gather(*(link.js.publish(subject, body) for subject, body in letters))


async def every(service: Service, **query: str | int) -> list[int]:
    """Ids of all dead letters, page by page."""
    page = await service.get("/dead-letters", **query)
    ids = [item["id"] for item in page["items"]]
    while page["next"]:
        page = await service.get("/dead-letters", cursor=page["next"], **query)
        ids += [item["id"] for item in page["items"]]
    return ids


async def test_dead_letters_are_listed_newest_first_with_filters(service: Service, peer: Link) -> None:
    assert await every(service) == []
    rare = {40, 333}
    letters = [rejected(n, Reason.BAD_TIME if n in rare else Reason.MALFORMED, f"d{n % 3}") for n in range(1, 601)]
    for at in range(0, 600, 100):
        await reject(peer, *letters[at : at + 100])
    for gone in [*range(100, 200), 600]:
        await peer.js.delete_msg("DEADLETTERS", gone)
    left = [n for n in range(599, 0, -1) if not 100 <= n < 200]
    assert await every(service, limit=70) == left
    assert await every(service, reason="bad_time") == [333, 40]
    assert await every(service, device="d1", limit=50) == [n for n in left if n % 3 == 1]
    assert await every(service, device="nobody") == []
    first = (await service.get("/dead-letters", limit=1))["items"][0]
    assert (first["detail"], first["topic"]) == ("number 599", "devices/d2/telemetry")
    assert await service.get(f"/dead-letters/{first['id']}") == first
    consumers = await peer.js.consumers_info("DEADLETTERS")
    assert consumers == [], "temporary consumers are gone"


async def test_a_dead_letter_is_replayed_once(service: Service, peer: Link) -> None:
    subject, body = rejected(1)
    await reject(peer, (subject, body))
    [sequence] = await every(service)
    answers = await asyncio.gather(*(service.client.post(f"/dead-letters/{sequence}/replay") for _ in range(4)))
    assert {answer.status_code for answer in answers} <= {202, 404}
    assert any(answer.json() == {"id": sequence, "status": "replaying"} for answer in answers)
    assert (await service.client.post(f"/dead-letters/{sequence}/replay")).status_code == 404
    assert await every(service) == []
    state = (await peer.js.stream_info("REPLAYS")).state
    assert state.messages == 1
    assert (await peer.js.get_msg("REPLAYS", state.last_seq)).data == body


async def test_a_dead_letter_of_another_version_is_shown_and_not_replayed(service: Service, peer: Link) -> None:
    await reject(peer, (deadletter_subject("malformed"), b"\x91\x63"))
    [item] = (await service.get("/dead-letters"))["items"]
    assert (item["reason"], item["payload_base64"]) == ("malformed", "kWM=")
    assert "schema version 99" in item["detail"]
    assert (await service.client.post(f"/dead-letters/{item['id']}/replay")).status_code == 409
