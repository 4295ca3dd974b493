"""What is rejected and comes back: ingest, processor and devices_api between a real broker, stream and store."""

import asyncio
import sqlite3
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from mqttium.api import AsyncClient

from contracts import logs
from contracts.consumers import consumers_of
from contracts.jetstream import Link
from contracts.streams import ALERTING, REPLAYS, TELEMETRY
from ingest.app import App as Ingest
from ingest.settings import Settings as IngestSettings
from processor.app import App as Processor
from processor.settings import Settings as ProcessorSettings
from tests.conftest import TOKEN, Server, nats_broker
from tests.integration.ingest_service import device as publisher
from tests.integration.registry_service import Service, running, until
from tests.unit.ingest.edge import Edge


class Plant:
    """Everything from the broker to the store, a device that publishes, and a look at what is stored."""

    def __init__(self, service: Service, device: AsyncClient, link: Link, store: Path) -> None:
        self.service, self._device, self.link, self._store = service, device, link, store

    async def publish(self, topic: str, payload: bytes) -> None:
        """Publish, and wait for the broker's PUBACK."""
        await (await self._device.publish(topic, payload, qos=1)).wait()

    def rows(self) -> dict[str, list[tuple[object, ...]]]:
        """Every row of every table of the store that has points or rollups."""
        with closing(sqlite3.connect(self._store)) as db:
            tables = ("series", "point", "rollup_1m", "rollup_1d")
            return {table: sorted(db.execute(f"SELECT * FROM {table}")) for table in tables}  # noqa: S608 - constants

    async def letters(self, **query: str) -> list[dict[str, Any]]:
        """Dead letters, newest first."""
        items: list[dict[str, Any]] = (await self.service.get("/dead-letters", **query))["items"]
        return items

    async def has_letters(self, count: int, **query: str) -> None:
        async def has() -> bool:
            return len(await self.letters(**query)) == count

        await until(has, f"{count} dead letters {query}")

    async def values(self, device: str, metric: str) -> list[tuple[str, object]]:
        answer = await self.service.client.get(
            f"/devices/{device}/telemetry", params={"metric": metric, "start": "0", "end": "2200-01-01T00:00:00Z"}
        )
        return [(point["ts"], point["value"]) for point in answer.json().get("points", [])]

    async def has_values(self, device: str, metric: str, count: int) -> None:
        async def has() -> bool:
            return len(await self.values(device, metric)) == count

        await until(has, f"{count} values of {metric}")

    async def known(self, device: str) -> None:
        """Register a device, and wait until ingest takes what it sends."""
        await self.service.register(device)
        await self.publish(f"devices/{device}/telemetry", b'{"ts": 1767225600250, "values": {"level": 1}}')
        await self.has_values(device, "level", 1)

    async def settled(self) -> None:
        """Wait until what was replayed has gone through ingest, and what ingest wrote through processor."""

        async def idle() -> bool:
            replays = await self.link.js.consumer_info(REPLAYS.name, "ingest")
            batches = [
                info for info in await consumers_of(self.link.js, TELEMETRY) if not info.name.startswith(ALERTING)
            ]
            return not any(info.num_pending or info.num_ack_pending for info in (replays, *batches))

        await until(idle, "settled")


@pytest.fixture
async def plant(stream: Server, tmp_path: Path) -> AsyncIterator[Plant]:
    about: dict[str, object] = {"port": 0, "nats_url": stream.nats_url, "nats_token": TOKEN}
    given = about | {"nats_monitor_url": stream.monitor_url, "unknown_device": "quarantine", "partitions": 4}
    with nats_broker(tmp_path) as broker:
        ingest = Ingest(IngestSettings.model_validate(given | {"mqtt_port": broker.port}), logs.quiet())
        stored = {"store": tmp_path / "timeseries.sqlite3"}
        processor = Processor(ProcessorSettings.model_validate(about | stored), logs.quiet())
        async with running(stream, tmp_path) as service, connected(stream) as link, publisher(broker) as device:
            await ingest.start()
            await processor.start()
            try:
                await service.ready()
                for_ever = {"retention": {"raw": 0, "1m": 0, "1h": 0, "1d": 0}}  # what is sent here is of January 2026
                (await service.client.put("/profiles/default", json=for_ever)).raise_for_status()
                await until(lambda: not ingest.waiting_for() + processor.waiting_for(), "ready")
                yield Plant(service, device, link, tmp_path / "timeseries.sqlite3")
            finally:
                await ingest.stop()
                await processor.stop()


@asynccontextmanager
async def connected(stream: Server) -> AsyncIterator[Link]:
    link = await Link(stream.nats_url, TOKEN, "peer", logs.quiet()).connect()
    try:
        yield link
    finally:
        await link.close()


async def test_quarantined_messages_are_stored_when_their_device_is_registered(plant: Plant) -> None:
    await plant.publish("devices/vat-3/telemetry", b'{"ts": 1767225600250, "values": {"level": 0.75}}')
    await plant.publish("devices/vat-3/telemetry", b'{"level": 0.5}')
    await plant.publish("devices/vat-4/telemetry", b'{"level": 0.25}')
    await plant.has_letters(3, reason="unknown_device")
    [untimed, _] = await plant.letters(device="vat-3")
    await plant.service.register("vat-3")
    await plant.has_values("vat-3", "level", 2)
    assert await plant.values("vat-3", "level") == [
        ("2026-01-01T00:00:00.250000000Z", 0.75),
        (untimed["received"], 0.5),
    ]
    await plant.has_letters(0, device="vat-3")
    await plant.has_letters(1, device="vat-4")
    assert plant.service.metric("replays_total", cause="registered") == 2


async def test_replaying_what_is_stored_or_partly_stored_changes_nothing_in_the_store(plant: Plant) -> None:
    await plant.known("vat-3")
    half_bad = b'{"level": 0.5, "state": "\\ud800"}'
    await plant.publish("devices/vat-3/telemetry", half_bad)
    await plant.publish("devices/vat-9/telemetry", b'[{"level": 0.25}, {"ts": 1767225600250, "level": 0.125}]')
    await plant.has_letters(1, reason="bad_value", device="vat-3")
    await plant.has_letters(1, reason="unknown_device", device="vat-9")
    letters = [await plant.link.js.get_msg("DEADLETTERS", letter["id"]) for letter in await plant.letters()]
    await plant.service.register("vat-9")
    await plant.has_values("vat-9", "level", 2)
    await plant.has_values("vat-3", "level", 2)
    await plant.settled()
    before = plant.rows()
    assert len(before["point"]) == 4

    for letter in letters * 2:  # as replays that the stream has forgotten, and so takes again
        await plant.link.js.publish(REPLAYS.subjects, letter.data or b"")
    await plant.settled()
    assert plant.rows() == before

    await plant.has_letters(3, reason="bad_value")  # the one of the beginning, and one for each time it was replayed
    answer = (await plant.service.client.post("/dead-letters/replay", params={"reason": "bad_value"})).json()
    assert answer == {"replayed": 3, "skipped": 0, "next": None}
    await plant.settled()
    assert plant.rows() == before
    assert [letter["payload_base64"] for letter in await plant.letters()] == [b64encode(half_bad).decode()] * 3


async def test_an_edited_replay_is_stored_as_received_when_the_original_was(plant: Plant) -> None:
    await plant.known("vat-3")
    await plant.publish("devices/vat-3/telemetry", b'{"level": 0,5}')
    await plant.has_letters(1, reason="malformed")
    [letter] = await plant.letters()
    body = {"payload_text": '{"level": 0.5}'}
    assert (await plant.service.client.post(f"/dead-letters/{letter['id']}/replay", json=body)).status_code == 202
    await plant.has_values("vat-3", "level", 2)
    assert (await plant.values("vat-3", "level"))[1] == (letter["received"], 0.5)
    [kept] = await plant.letters()
    assert (kept["reason"], kept["payload_text"]) == ("edited", '{"level": 0,5}')


async def test_what_came_under_a_wrong_name_is_given_to_the_right_device(plant: Plant) -> None:
    await plant.known("vat-3")
    await plant.publish("devices/vta-3/telemetry", b'{"level": 0.5}')
    await plant.has_letters(1, reason="unknown_device")
    [letter] = await plant.letters()
    body = {"topic": "devices/vat-3/telemetry"}
    assert (await plant.service.client.post(f"/dead-letters/{letter['id']}/replay", json=body)).status_code == 202
    await plant.has_values("vat-3", "level", 2)
    assert (await plant.values("vat-3", "level"))[1] == (letter["received"], 0.5)
    await plant.has_letters(1, reason="edited", device="vta-3")


async def test_a_registration_and_a_replay_by_filter_at_once_lose_nothing(plant: Plant) -> None:
    for n in range(100):
        payload = b'{"ts": %d, "values": {"level": %d}}' % (1_767_225_600_000 + n, n)
        await plant.publish("devices/vat-3/telemetry", payload)
    await plant.has_letters(100, device="vat-3")
    replay = plant.service.client.post("/dead-letters/replay")
    await asyncio.gather(plant.service.register("vat-3"), replay)
    await plant.has_values("vat-3", "level", 100)
    await plant.has_letters(0)


async def test_what_a_sparkplug_node_said_before_ingest_heard_its_birth_is_stored_after_the_rebirth(
    plant: Plant,
) -> None:
    await plant.known("Works:PumpHouse")
    node = Edge(name="PumpHouse")
    truth = {"Level": 1.5, "Flow": 2.5}
    node.birth(truth)  # which nobody heard
    await plant.publish(*node.data(values=truth))
    await plant.has_letters(1, reason="unknown_alias", device="Works:PumpHouse")
    node.ms += 1_000
    await plant.publish(*node.birth(truth))  # as ingest has asked
    await plant.has_letters(0, reason="unknown_alias")
    await plant.has_values("Works:PumpHouse", "Level", 2)
    assert {value for _, value in await plant.values("Works:PumpHouse", "Flow")} == {2.5}
    assert plant.service.metric("replays_total", cause="online") == 1
