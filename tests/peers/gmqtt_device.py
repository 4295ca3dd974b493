"""Publishes with gmqtt: `python gmqtt_device.py PORT VERSION`."""

import asyncio
import sys

import gmqtt  # type: ignore[import-not-found]  # see requirements-peers.in


async def main(port: int, version: int) -> None:
    client = gmqtt.Client("gm-1")
    await client.connect("127.0.0.1", port, version=version)
    more = {"content_type": "application/json", "user_property": [("line", "4")]} if version == 5 else {}
    client.publish("devices/gm-1/telemetry", {"ts": 1767225600250, "flow": 4.5, "mode": "auto"}, qos=1, **more)
    client.publish("devices/gm-1/telemetry", [{"ts": 1767225601, "flow": 5}, {"ts": 1767225602, "flow": 6}], qos=1)
    async with asyncio.timeout(20):
        while not client._persistent_storage.is_empty:  # noqa: SLF001 - it tells nobody when the broker has acknowledged
            await asyncio.sleep(0.05)
    await client.disconnect()


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
