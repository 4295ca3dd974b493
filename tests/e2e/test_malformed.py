"""A tenth of all messages is malformed: the others do not notice."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from mqttium.api import AsyncClient, PublishMessage

from tests.conftest import wait_until
from tests.e2e.conftest import Running

GOOD, BAD, DEVICES = 10_000, 1_000, 100
START_MS = time.time_ns() // 1_000_000 - 3_600_000  # noqa: TID251 - readings of a month ago would come too late
KINDS = {
    b'{"ts": 1767225600000, "values": {"a": %d': "malformed",
    b'"just text %d"': "malformed",
    b"\xff\xfe %d": "malformed",
    b'{"ts": "yesterday", "values": {"a": %d}}': "bad_time",
    b'{"a": Infinity, "b": -Infinity, "c": NaN, "ts": %d}': "bad_value",
}


def good(prefix: str, count: int) -> Iterator[PublishMessage]:
    for n in range(count):
        payload = b'{"ts": %d, "values": {"a": %d}}' % (START_MS + n, n)
        yield PublishMessage(f"devices/{prefix}-{n % DEVICES}/telemetry", payload, qos=1)


def mixed(prefix: str) -> Iterator[PublishMessage]:
    """Yield ten good messages, then a malformed one, and so on."""
    kinds = list(KINDS)
    for n, message in enumerate(good(prefix, GOOD)):
        yield message
        if n % 10 == 9:
            payload = kinds[n // 10 % len(kinds)] % n
            yield PublishMessage(f"devices/{prefix}-{n % DEVICES}/telemetry", payload, qos=1)


async def publish(port: int, messages: Iterator[PublishMessage]) -> None:
    client = AsyncClient("malformed", max_outbound_inflight=500)
    await client.connect("127.0.0.1", port)
    receipt = await client.publish_many(messages)
    await receipt.wait()
    await client.disconnect()


def stored(stack: Running, prefix: str) -> int:
    """Ask the API for every reading."""
    found = 0
    for device in range(DEVICES):
        url = f"{stack.api}/api/v1/devices/{prefix}-{device}/telemetry"
        points = stack.get(url, metric="a", start=START_MS, end=START_MS + GOOD, limit=10_000)["points"]
        assert [point["value"] for point in points] == [float(n) for n in range(device, GOOD, DEVICES)][: len(points)]
        found += len(points)
    return found


def last_is_stored(stack: Running, prefix: str) -> bool:
    answer = stack.get(f"{stack.api}/api/v1/devices/{prefix}-{DEVICES - 1}/telemetry/latest")
    return bool(answer["values"].get("a", {}).get("value") == GOOD - 1)


@pytest.mark.alone
def test_a_tenth_malformed_loses_nothing_and_costs_little(stack: Running) -> None:
    for device in range(DEVICES):  # registered beforehand, so that there is a device to ask for
        for prefix in ("pure", "mixed"):
            stack.post(f"{stack.api}/api/v1/devices", {"id": f"{prefix}-{device}"})
    took = {}
    for prefix, messages in {"pure": good("pure", GOOD), "mixed": mixed("mixed")}.items():
        began = time.monotonic()
        asyncio.run(publish(stack.mqtt_port, messages))
        wait_until(lambda prefix=prefix: last_is_stored(stack, prefix), "the last reading is stored")  # type: ignore[misc]
        took[prefix] = time.monotonic() - began
    assert stored(stack, "pure") == stored(stack, "mixed") == GOOD
    assert took["mixed"] < 2 * took["pure"] + 1, "throughput holds"

    reasons: Counter[str] = Counter()
    payloads: set[str] = set()
    cursor: str | None = None
    while cursor != "":
        query: dict[str, str | int] = {"limit": 1000} | ({"cursor": cursor} if cursor else {})
        page = stack.get(f"{stack.api}/api/v1/dead-letters", **query)
        reasons.update(letter["reason"] for letter in page["items"])
        payloads.update(letter["payload_base64"] for letter in page["items"])
        cursor = page["next"] or ""
    each = BAD // len(KINDS)
    assert reasons == {"malformed": 3 * each, "bad_time": each, "bad_value": each}
    assert len(payloads) == BAD
