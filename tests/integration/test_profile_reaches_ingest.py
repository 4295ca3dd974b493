"""A changed profile on its way from the registry to ingest, with the real stream server. No broker is needed for it."""

import asyncio

from contracts.devices import DeviceRecord, Metric
from contracts.jetstream import Link
from ingest.app import App
from tests.conftest import Server, free_port
from tests.integration.ingest_service import ingest, settings
from tests.integration.registry_service import Service, until


def known(app: App, device: str) -> DeviceRecord | None:
    return app._directory.get(device)  # noqa: SLF001 - what ingest judges the device's readings by


async def put(service: Service, most: int) -> None:
    body = {"metrics": {"t": {"unit": "degC", "max": most}}}
    assert (await service.client.put("/profiles/still", json=body)).is_success


def judged(app: App, most: int) -> bool:
    metrics = {"t": Metric(unit="degC", max=float(most))}
    return all((found := known(app, id_)) is not None and found.metrics == metrics for id_ in "ab")


async def test_a_changed_profile_reaches_ingest_also_after_the_stream_server_was_away(
    service: Service, stream: Server
) -> None:
    async with ingest(settings(stream, stream, mqtt_port=free_port()), ready=False) as app:
        for id_ in "ab":
            await service.client.post("/devices", json={"id": id_, "profile": "still", "groups": []})
        await until(lambda: known(app, "a") is not None and known(app, "b") is not None, "both devices are known")
        await put(service, 80)
        await until(lambda: judged(app, 80), "the profile is in force")
        stream.kill()
        await until(lambda: service.app.waiting_for() == ["stream server"], "it is missed")
        await put(service, 90)
        await service.client.patch("/devices/a", json={"enabled": False})
        assert judged(app, 80), "the copy is used on"
        await asyncio.to_thread(stream.start)
        await until(lambda: judged(app, 90), "the change arrives", 60)
        await until(lambda: (found := known(app, "a")) is not None and not found.enabled, "and so does the device's")


async def test_a_profile_is_there_again_after_the_bucket_was_lost(service: Service, stream: Server, peer: Link) -> None:
    await put(service, 80)
    for id_ in "ab":
        await service.client.post("/devices", json={"id": id_, "profile": "still"})
    await until(lambda: service.metric("records_published_total", operation="put") >= 3, "all is in the bucket")
    await peer.js.delete_stream("KV_devices")
    await service.client.patch("/devices/a", json={"name": "A"})  # what is put on nothing is not acknowledged
    async with ingest(settings(stream, stream, mqtt_port=free_port()), ready=False) as app:
        await until(lambda: judged(app, 80), "it holds for both devices", 60)
