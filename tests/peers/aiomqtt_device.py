"""Publishes with aiomqtt: `python aiomqtt_device.py PORT [VERSION]`."""

import asyncio
import json
import sys

import aiomqtt  # type: ignore[import-not-found]  # see requirements-peers.in


async def main(port: int, version: str) -> None:
    will = aiomqtt.Will("devices/aio-1/status", "offline", qos=1)
    protocol = aiomqtt.ProtocolVersion.V5 if version == "5" else aiomqtt.ProtocolVersion.V311
    async with aiomqtt.Client("127.0.0.1", port, identifier="aio-1", protocol=protocol, will=will) as client:
        await client.publish("devices/aio-1/status", "online", qos=1)
        body = json.dumps({"ts": 1767225600250, "values": {"flow": 3.5, "open": True}})
        await client.publish("devices/aio-1/telemetry", body, qos=1)
        await client.publish("devices/aio-1/telemetry/level", b"71.25", qos=1)


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
