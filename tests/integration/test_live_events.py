"""Live events of real streams, to real connections."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import websockets

from contracts import logs
from contracts.jetstream import Link, NotAcknowledgedError, Publisher, ensure_stream
from contracts.presence import PRESENCE_MESSAGE, Presence
from contracts.readings import READING_BATCH, Reading, ReadingBatch
from contracts.service import listen, running
from contracts.streams import PRESENCE, TELEMETRY, presence_subject, telemetry_subject
from devices_api.app import App
from devices_api.settings import Settings
from tests.conftest import TOKEN, Server
from tests.integration.registry_service import KEY, until

HEADERS = {"Authorization": f"Bearer {KEY}"}


class Replica:
    """devices_api, listening on a port of its own."""

    def __init__(self, app: App, port: int) -> None:
        self.app, self.port = app, port
        self.url = f"http://127.0.0.1:{port}/api/v1"

    def listeners(self) -> float:
        return self.app.registry.get_sample_value("devices_api_live_listeners") or 0.0


@contextlib.asynccontextmanager
async def replica(stream: Server, directory: Path) -> AsyncIterator[Replica]:
    given: dict[str, object] = {
        "key": KEY,
        "nats_url": stream.nats_url,
        "nats_token": TOKEN,
        "database_url": f"sqlite+aiosqlite:///{directory}/registry.sqlite3",
        "store": directory / "timeseries.sqlite3",
    }
    app = App(Settings.model_validate(given), logs.quiet())
    with listen("127.0.0.1", 0) as listener:
        async with running(app, listener, 5, logs.quiet()):
            await until(lambda: app.waiting_for() == [], "ready")
            yield Replica(app, listener.getsockname()[1])


class Publishing:
    """What ingest would publish."""

    def __init__(self, link: Link) -> None:
        self._publisher = Publisher(link)

    async def reading(self, device: str, value: float) -> None:
        batch = ReadingBatch(1, 0, [Reading(device, 1, 2, {"t": value})])
        await self._publisher.publish(telemetry_subject(0), READING_BATCH.encode(batch))

    async def taken(self, device: str) -> bool:
        """Tell of a device, if the stream takes that now."""
        try:
            await self.online(device)
        except NotAcknowledgedError:
            return False
        return True

    async def online(self, device: str) -> None:
        await self._publisher.publish(presence_subject(0), PRESENCE_MESSAGE.encode(Presence(1, device, "online", 3)))


@pytest.fixture
async def publishing(stream: Server) -> AsyncIterator[Publishing]:
    link = await Link(stream.nats_url, TOKEN, "ingest", logs.quiet()).connect()
    for made in (TELEMETRY, PRESENCE):
        await ensure_stream(link.js, made)
    yield Publishing(link)
    await link.close()


@contextlib.asynccontextmanager
async def events(
    at: Replica, last: str = "", key: str = KEY, **query: str
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """Listen to server-sent events, each as a dictionary of its fields."""
    headers = {"Authorization": f"Bearer {key}"} | ({"Last-Event-ID": last} if last else {})
    async with (
        httpx.AsyncClient(timeout=60) as client,
        client.stream("GET", f"{at.url}/events", params=query, headers=headers) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _parsed(answer)


async def _parsed(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    fields: dict[str, Any] = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
        elif "data" in fields:
            yield fields | {"data": json.loads(fields["data"])}
            fields = {}


async def some(listening: AsyncIterator[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(30):
        return [await anext(listening) for _ in range(count)]


async def test_events_come_as_they_happen_and_go_on_at_another_replica(
    stream: Server, tmp_path: Path, publishing: Publishing
) -> None:
    async with replica(stream, tmp_path) as one, replica(stream, tmp_path) as other:
        async with events(other):  # so that it hears from here on
            pass
        async with events(one) as listening:
            await publishing.reading("a", 1.5)
            await publishing.online("a")
            heard = await some(listening, 2)
        by_name = {event["event"]: event["data"] for event in heard}
        assert by_name["reading"]["values"] == {"t": 1.5}
        assert by_name["presence"]["state"] == "online"
        await until(lambda: one.listeners() == 0, "it has left")
        await publishing.reading("b", 2.5)
        async with events(other, last=heard[-1]["id"]) as listening:
            await publishing.reading("c", 3.5)
            assert [event["data"]["device"] for event in await some(listening, 2)] == ["b", "c"]


async def test_a_socket_hears_of_the_devices_of_its_filter(
    stream: Server, tmp_path: Path, publishing: Publishing
) -> None:
    async with replica(stream, tmp_path) as at:
        async with httpx.AsyncClient(base_url=at.url, headers=HEADERS, timeout=30) as client:
            body = {"id": "a", "tags": {"site": "north"}}
            assert (await client.post("/devices", json=body)).status_code == 201
        url = f"ws://127.0.0.1:{at.port}/api/v1/events/ws?event=reading"
        north = quote('tags.site eq "north"')
        async with websockets.connect(f"{url}&filter={north}", additional_headers=HEADERS) as socket:
            await publishing.reading("b", 1.0)
            await publishing.reading("a", 2.0)
            async with asyncio.timeout(30):
                message = json.loads(await socket.recv())
        assert (message["event"], message["data"]["device"]) == ("reading", "a")
        await until(lambda: at.listeners() == 0, "it has left")


async def test_a_refused_handshake_is_answered_with_what_was_wrong(stream: Server, tmp_path: Path) -> None:
    async with replica(stream, tmp_path) as at:
        for query, headers, told in (
            ("", {}, (401, "unauthorized")),
            ("?ticket=none", {}, (401, "unauthorized")),
            ("?filter=nonsense", HEADERS, (400, "bad-filter")),
            ("?last_event_id=999-0-0", HEADERS, (400, "bad-event-id")),
            ("?event=nonsense", HEADERS, (422, "invalid-request")),
            ("?metric=%00", HEADERS, (400, "bad-text")),
        ):
            with pytest.raises(websockets.InvalidStatus) as refused:
                await websockets.connect(
                    f"ws://127.0.0.1:{at.port}/api/v1/events/ws{query}", additional_headers=headers
                )
            answer = refused.value.response
            assert answer.headers["Content-Type"] == "application/problem+json"
            body = json.loads(answer.body or b"")
            assert (answer.status_code, body["type"].rpartition(":")[2]) == told
            assert answer.status_code == body["status"]
            assert answer.headers["X-Request-Id"] == body["request_id"]


async def test_a_key_that_is_revoked_hears_no_more(stream: Server, tmp_path: Path, publishing: Publishing) -> None:
    async with replica(stream, tmp_path) as at, httpx.AsyncClient(base_url=at.url, headers=HEADERS) as client:
        key = (await client.post("/keys", json={"name": "panel", "scopes": ["read"]})).json()
        async with events(at, key=key["key"]) as listening:
            await publishing.reading("a", 1.0)
            await some(listening, 1)
            assert (await client.delete(f"/keys/{key['id']}")).status_code == 204
            await publishing.reading("a", 2.0)
            [last] = await some(listening, 1)
        assert (last["event"], last["data"]["reason"].partition(":")[0]) == ("dropped", "key")


async def test_a_socket_does_not_mind_what_it_is_told(stream: Server, tmp_path: Path, publishing: Publishing) -> None:
    async with replica(stream, tmp_path) as at:
        url = f"ws://127.0.0.1:{at.port}/api/v1/events/ws"
        async with websockets.connect(url, additional_headers=HEADERS) as socket:
            await socket.send("hello")
            await socket.send(b"hello")
            await (await socket.ping())  # what was sent before it has been read
            await publishing.reading("a", 1.0)
            async with asyncio.timeout(40):
                assert json.loads(await socket.recv())["event"] == "reading"


async def test_a_replica_that_stops_says_so_and_ends_the_streams(
    stream: Server, tmp_path: Path, publishing: Publishing
) -> None:
    async with contextlib.AsyncExitStack() as stopping:
        at = await stopping.enter_async_context(replica(stream, tmp_path))
        async with (
            events(at) as listening,
            websockets.connect(f"ws://127.0.0.1:{at.port}/api/v1/events/ws", additional_headers=HEADERS) as socket,
        ):
            await publishing.online("a")
            await some(listening, 1)
            async with asyncio.timeout(30):
                assert json.loads(await socket.recv())["event"] == "presence"
            ending = asyncio.create_task(stopping.aclose())
            [last] = await some(listening, 1)
            assert (last["event"], last["data"]["reason"].partition(":")[0]) == ("dropped", "stopping")
            with pytest.raises(websockets.ConnectionClosed):
                async with asyncio.timeout(30):
                    await socket.recv()
            await ending


async def test_what_was_not_heard_is_told(stream: Server, tmp_path: Path, publishing: Publishing) -> None:
    async with replica(stream, tmp_path) as at:
        await publishing.reading("a", 1.0)
        async with events(at, last="0-0-0") as listening:
            [lost] = await some(listening, 1)
            assert (lost["event"], lost["data"]) == ("lost", {"stream": "telemetry", "messages": 1})
            await publishing.reading("a", 2.0)
            assert [event["data"]["values"] for event in await some(listening, 1)] == [{"t": 2.0}]


async def test_an_id_of_streams_that_are_no_more_is_refused(stream: Server, tmp_path: Path) -> None:
    async with (
        replica(stream, tmp_path) as at,
        httpx.AsyncClient(base_url=at.url, headers=HEADERS, timeout=30) as client,
    ):
        answer = await client.get("/events", headers={"Last-Event-ID": "999-0-0"})
        assert (answer.status_code, answer.json()["type"]) == (400, "urn:sensorium:problem:bad-event-id")


async def test_events_go_on_after_the_stream_server_was_away(
    stream: Server, tmp_path: Path, publishing: Publishing
) -> None:
    async with replica(stream, tmp_path) as at, events(at, event="presence") as listening:
        await publishing.online("a")
        await some(listening, 1)
        stream.kill()
        stream.start()
        await until(lambda: publishing.taken("b"), "the stream takes messages again", 60)
        # What is not acknowledged may be taken even so, and come twice; what comes too early, the stream lets go of.
        [heard] = await some(listening, 1)
        assert heard["event"] == "lost" or heard["data"]["device"] == "b"
        await until(lambda: publishing.taken("c"), "the last message is taken", 60)
        while heard["event"] == "lost" or heard["data"]["device"] == "b":
            [heard] = await some(listening, 1)
        assert heard["data"]["device"] == "c"
