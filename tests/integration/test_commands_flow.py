"""Commands from end to end: the API, a real broker, ingest, a real stream, and a device."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

from tests.conftest import Server
from tests.integration.ingest_service import ingest
from tests.integration.ingest_service import settings as ingest_settings
from tests.integration.mqtt_device import Device, connected
from tests.integration.registry_service import Service, running, until

VALVE = "/devices/valve-3/commands"


def with_broker(broker: Server) -> dict[str, object]:
    return {"mqtt_host": "127.0.0.1", "mqtt_port": broker.port}


async def send(service: Service, **body: object) -> str:
    answer = await service.client.post(VALVE, json={"name": "open"} | body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def states(service: Service, command: str) -> list[str]:
    return [step["state"] for step in (await service.get(f"/commands/{command}"))["history"]]


async def offline(service: Service) -> bool:
    found: dict[str, Any] = await service.get("/devices/valve-3")
    return found["online"] is False


async def answer_each(device: Device, answer: dict[str, object]) -> None:
    """Answer each command once, for as long as it runs."""
    answered = 0
    while True:
        for command, _ in device.below("commands/")[answered:]:
            await device.tell(f"commands/{command}/response", {"status": "delivered"})
            await device.tell(f"commands/{command}/response", answer)
            answered += 1
        await asyncio.sleep(0.02)


async def test_a_command_is_carried_out_and_whoever_waits_is_told_what_came_of_it(
    stream: Server, broker: Server, tmp_path: Path
) -> None:
    async with (
        running(stream, tmp_path, **with_broker(broker)) as service,
        ingest(ingest_settings(stream, broker)),
        connected(broker, "valve-3") as device,
    ):
        await service.ready()
        await service.register("valve-3")
        await device.subscribe("commands/+")
        answering = asyncio.create_task(answer_each(device, {"status": "succeeded", "result": {"was": 10}}))
        body = {"name": "open", "params": {"percent": 40}}
        answer = (await service.client.post(f"{VALVE}?wait=30", json=body)).json()
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
        assert (answer["state"], answer["result"]) == ("succeeded", {"was": 10})
        assert [step["state"] for step in answer["history"]] == ["queued", "sent", "delivered", "succeeded"]
        told = body | {"expires": answer["expires"], "response": True}
        assert device.below("commands/") == [(answer["id"], told)]


async def test_commands_wait_for_a_device_that_is_offline_or_expire(
    stream: Server, broker: Server, tmp_path: Path
) -> None:
    async with (
        running(stream, tmp_path, **with_broker(broker)) as service,
        ingest(ingest_settings(stream, broker)),
        connected(broker, "valve-3") as device,
    ):
        await service.ready()
        await service.register("valve-3")
        await device.subscribe("commands/+")
        await device.tell("status", "offline", retain=True)
        await until(lambda: offline(service), "it is known to be offline")
        short, long = await send(service, ttl=1), await send(service, response=False)

        async def expired() -> bool:
            return await states(service, short) == ["queued", "expired"]

        await until(expired, "the first has expired")
        assert await states(service, long) == ["queued"]
        assert device.below("commands/") == []
        await device.tell("status", "online", retain=True)

        async def done() -> bool:
            return await states(service, long) == ["queued", "sent", "succeeded"]

        await until(done, "the second is sent")
        await until(lambda: [command for command, _ in device.below("commands/")] == [long], "the device has it")
        unanswered = await send(service, timeout=1)

        async def timed_out() -> bool:
            return await states(service, unanswered) == ["queued", "sent", "timed_out"]

        await until(timed_out, "nobody answers")


async def test_of_two_services_on_one_database_one_sends_each_command(
    stream: Server, broker: Server, tmp_path: Path
) -> None:
    async with (
        running(stream, tmp_path, **with_broker(broker)) as one,
        running(stream, tmp_path, **with_broker(broker)) as other,
        connected(broker, "valve-3") as device,
    ):
        await one.ready()
        await other.ready()
        await one.register("valve-3")
        await device.subscribe("commands/+")
        sent: set[str] = set()
        for _ in range(5):
            sent.update(await asyncio.gather(*(send((one, other)[n % 2], response=False) for n in range(10))))

        async def all_done() -> bool:
            return len((await one.get("/commands", state="succeeded"))["items"]) == 50

        await until(all_done, "all are sent", 60)
        await until(lambda: {command for command, _ in device.below("commands/")} == sent, "the device has them")
        attempts = {item["id"]: item["attempts"] for item in (await one.get("/commands"))["items"]}
        heard = Counter(command for command, _ in device.below("commands/"))
        assert all(heard[command] <= attempts[command] for command in sent), "once, where it worked at once"

        def counted() -> float:
            return sum(service.metric("commands_total", state="sent") for service in (one, other))

        await until(lambda: counted() == 50, "each is counted once")
