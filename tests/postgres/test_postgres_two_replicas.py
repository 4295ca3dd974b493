"""Two devices_api at once on one PostgreSQL, one stream server and one broker: what is done, is done once."""

import asyncio
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from contracts import logs
from contracts.directory import Directory
from contracts.jetstream import Link
from devices_api.repository import Repository
from tests.conftest import TOKEN, Server, mosquitto_broker
from tests.integration.mqtt_device import connected
from tests.integration.registry_service import Service, running, until

VALVES = [f"valve-{number}" for number in range(8)]
ROUNDS = 4


async def use(service: Service, name: str, mine: list[str], registered: asyncio.Barrier) -> list[str]:
    """Register some valves, then change all of them, and send each a command; returns the commands' ids."""
    await service.register(*mine)
    await registered.wait()
    commands = []
    for number in range(ROUNDS):
        for valve in VALVES:
            tags = await service.client.patch(f"/devices/{valve}", json={"tags": {"by": f"{name} {number}"}})
            desired = await service.client.patch(f"/devices/{valve}/twin/desired", json={name: number})
            assert (tags.status_code, desired.status_code) == (200, 200)
    for valve in VALVES:
        answer = await service.client.post(f"/devices/{valve}/commands", json={"name": "open"})
        assert answer.status_code == 201, answer.text
        commands.append(str(answer.json()["id"]))
    return commands


async def test_two_replicas_publish_each_record_state_and_command_once(
    stream: Server, registry: Repository, registry_url: str, tmp_path: Path
) -> None:
    with mosquitto_broker(tmp_path) as broker:
        assert await registry.get(VALVES[0]) is None
        more = {"database_url": registry_url, "mqtt_host": "127.0.0.1", "mqtt_port": broker.port}
        async with (
            running(stream, tmp_path, **more) as one,
            running(stream, tmp_path, **more) as two,
            connected(broker, "+") as ear,
        ):
            await ear.subscribe("desired", "commands/+")
            await asyncio.gather(one.ready(), two.ready())
            peer = await Link(stream.nats_url, TOKEN, "peer", logs.quiet()).connect()
            directory = Directory(peer, logs.quiet())
            following = asyncio.create_task(directory.follow())
            barrier = asyncio.Barrier(2)
            sent = await asyncio.gather(use(one, "one", VALVES[::2], barrier), use(two, "two", VALVES[1::2], barrier))
            devices = {valve: await two.get(f"/devices/{valve}") for valve in VALVES}
            twins = {valve: await one.get(f"/devices/{valve}/twin") for valve in VALVES}
            commands = {
                command: f"devices/{valve}/commands/{command}"
                for of in sent
                for valve, command in zip(VALVES, of, strict=True)
            }

            def known() -> bool:
                found = {valve: record.tags for valve in VALVES if (record := directory.get(valve)) is not None}
                return found == {valve: device["tags"] for valve, device in devices.items()}

            async def noted() -> bool:
                return all([(await one.get(f"/commands/{command}"))["state"] == "sent" for command in commands])

            def states() -> dict[str, list[Any]]:
                told = defaultdict(list)
                for message in ear.heard:
                    if message.topic.endswith("/desired"):
                        told[message.topic.split("/")[1]].append(json.loads(bytes(message.payload)))
                return told

            await until(known, "the bucket has the newest records")
            await until(noted, "the broker has all commands")
            last = {v: {"version": 2 * ROUNDS, "desired": twin["desired"]} for v, twin in twins.items()}
            await until(lambda: {valve: told[-1] for valve, told in states().items()} == last, "all states are told")
            await until(lambda: set(commands.values()) <= {m.topic for m in ear.heard}, "all commands are heard")
            assert sorted(m.topic for m in ear.heard if "/commands/" in m.topic) == sorted(commands.values())
            for told in states().values():
                versions = [state["version"] for state in told]
                assert versions == sorted(set(versions))
            assert known()
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await peer.close()
