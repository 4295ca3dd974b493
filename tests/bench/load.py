"""Load for the benchmark: publishes flat out at QoS 1 for some seconds, in a process of its own.

Prints one JSON object: how many messages the broker acknowledged, and the seconds it took.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Iterator

from mqttium.api import AsyncClient, PublishMessage

DEVICES = 1000
WINDOW = 500


def messages(publisher: int, publishers: int, until: float) -> Iterator[PublishMessage]:
    """Yield messages of 1,000 devices in turn, three metrics each, until the monotonic time `until`."""
    topics = [f"devices/bench-{device:04}/telemetry" for device in range(publisher, DEVICES, publishers)]
    turn = 0
    while time.monotonic() < until:
        for topic in topics:
            turn += 1
            ts = time.time_ns()  # noqa: TID251 - a device stamps what it sends
            values = b'"temperature":%d.25,"humidity":40.5,"pressure":%d.125' % (turn % 40, 980 + turn % 60)
            yield PublishMessage(topic, b'{"ts":%d,"values":{%b}}' % (ts, values), qos=1)


async def publish(host: str, port: int, publisher: int, publishers: int, seconds: float) -> int:
    """Publish over one connection; returns how many messages were acknowledged."""
    client = AsyncClient(
        f"bench-{publisher}",
        max_outbound_inflight=WINDOW,
        max_unacknowledged_messages=WINDOW,
    )
    await client.connect(host, port)
    receipt = await client.publish_many(messages(publisher, publishers, time.monotonic() + seconds))
    await receipt.wait()
    await client.disconnect()
    return receipt.submitted


async def main() -> None:
    """Read the arguments, publish, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--publishers", type=int, default=4)
    given = parser.parse_args()
    began = time.monotonic()
    counts = await asyncio.gather(
        *(publish(given.host, given.port, n, given.publishers, given.seconds) for n in range(given.publishers))
    )
    print(json.dumps({"acknowledged": sum(counts), "seconds": time.monotonic() - began}))


if __name__ == "__main__":
    asyncio.run(main())
