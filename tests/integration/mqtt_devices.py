"""MQTT clients as devices are, by paho-mqtt: whether a broker lets them in, and on which topics it lets them speak."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from tests.integration.registry_service import until


class Device:
    """One client: `accepted` is what the broker said, `heard` what it was sent."""

    def __init__(self, port: int, client_id: str, username: str, password: str | None) -> None:
        self.accepted: bool | None = None
        self.connected = False
        self.heard: list[tuple[str, bytes]] = []
        self._granted: dict[int, bool] = {}
        self._acknowledged: set[int] = set()
        self._client = client = Client(CallbackAPIVersion.VERSION2, client_id, reconnect_on_failure=False)
        client.username_pw_set(username, password)
        client.on_connect = lambda _, __, ___, code, ____: self._answered(accepted=not code.is_failure)
        client.on_disconnect = lambda *_: self._lost()
        client.on_subscribe = lambda _, __, mid, codes, ___: self._granted.update({mid: not codes[0].is_failure})
        client.on_publish = lambda _, __, mid, ___, ____: self._acknowledged.add(mid)
        client.on_message = lambda _, __, message: self.heard.append((message.topic, bytes(message.payload)))
        self._port = port

    def _answered(self, *, accepted: bool) -> None:
        self.accepted = self.connected = accepted

    def _lost(self) -> None:
        self.connected = False

    async def connect(self) -> bool:
        """Say whether the broker lets it in."""
        await asyncio.to_thread(self._client.connect, "127.0.0.1", self._port)
        self._client.loop_start()
        await until(lambda: self.accepted is not None, "an answer to CONNECT")
        return bool(self.accepted)

    async def subscribe(self, topic: str) -> bool:
        """Say whether the broker grants a subscription; it may end the connection instead of answering."""
        _, mid = self._client.subscribe(topic, qos=1)
        if mid is None:
            return False
        await until(lambda: mid in self._granted or not self.connected, f"an answer to SUBSCRIBE {topic}")
        return self._granted.get(mid, False)

    async def publish(self, topic: str, payload: bytes) -> None:
        """Publish; return when it is acknowledged, or the connection has ended."""
        sent = self._client.publish(topic, payload, qos=1)
        await until(lambda: sent.mid in self._acknowledged or not self.connected, f"an answer to PUBLISH {topic}")

    async def close(self) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)


@contextlib.asynccontextmanager
async def connected(port: int, client_id: str, username: str, password: str | None) -> AsyncIterator[Device]:
    """Give a client that the broker has let in."""
    device = Device(port, client_id, username, password)
    try:
        assert await device.connect(), f"{username} is not let in"
        yield device
    finally:
        await device.close()


async def lets_in(port: int, client_id: str, username: str, password: str | None) -> bool:
    """Whether the broker lets a client in."""
    device = Device(port, client_id, username, password)
    try:
        return await device.connect()
    finally:
        await device.close()
