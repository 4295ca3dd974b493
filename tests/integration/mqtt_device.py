"""A device on a real broker, for tests of what it is told: everything that comes is kept, and it may answer."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from mqttium.api import AsyncClient
from mqttium.types import Message

from tests.conftest import Server


class Device:
    """A connected device; `heard` is what it was told, in order."""

    def __init__(self, client: AsyncClient, name: str) -> None:
        self._client, self.name = client, name
        self.heard: list[Message] = []

    async def listen(self) -> None:
        async for message in self._client.messages():
            self.heard.append(message)

    async def subscribe(self, *topics: str) -> None:
        for topic in topics:
            await self._client.subscribe(f"devices/{self.name}/{topic}", qos=1)

    async def tell(self, topic: str, content: object, *, retain: bool = False) -> None:
        """Publish JSON, or plain text as it is, below the device's own prefix; returns after the PUBACK."""
        payload = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        await (await self._client.publish(f"devices/{self.name}/{topic}", payload, qos=1, retain=retain)).wait()

    def on(self, topic: str) -> list[Any]:
        """Give what was heard on a topic of its own, as JSON."""
        return [json.loads(bytes(m.payload)) for m in self.heard if m.topic == f"devices/{self.name}/{topic}"]

    def below(self, prefix: str) -> list[tuple[str, Any]]:
        """Give what was heard on topics of its own that begin with `prefix`: the rest of the topic, and the JSON."""
        start = f"devices/{self.name}/{prefix}"
        found = [m for m in self.heard if m.topic.startswith(start)]
        return [(m.topic.removeprefix(start), json.loads(bytes(m.payload))) for m in found]


@contextlib.asynccontextmanager
async def connected(broker: Server, name: str) -> AsyncIterator[Device]:
    """Connect a device with a clean session."""
    client = AsyncClient(name, clean_start=True)
    await client.connect("127.0.0.1", broker.port)
    device = Device(client, name)
    task = asyncio.create_task(device.listen())
    try:
        yield device
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.disconnect()
