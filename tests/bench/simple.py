"""What many write first: paho-mqtt, `json.loads` and influxdb-client, in one loop. `make bench-ingest` measures it.

It acknowledges each message when its callback returns, before it is stored anywhere: the batching writer keeps what it
has in memory, and after its retries drops it. It checks nothing, keeps no bad message, and stops for none either.
With `--lean` it writes lines itself, a thousand at a time, and waits for the answer of each write: the least that
these libraries cost.

Prints one JSON object: messages, and the CPU seconds from before it connected until everything was written.
"""

import argparse
import json
import time

from influxdb_client import InfluxDBClient, Point, WritePrecision
from influxdb_client.client.write_api import SYNCHRONOUS
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

BATCH = 1000


class Loop:
    """Takes `number` messages and writes them."""

    def __init__(self, influx: InfluxDBClient, number: int, *, lean: bool) -> None:
        self._writer = influx.write_api(write_options=SYNCHRONOUS) if lean else influx.write_api()
        self._number, self._lean = number, lean
        self._lines: list[str] = []
        self.taken = 0

    def take(self, client: Client, _: object, message: MQTTMessage) -> None:
        """Store one message."""
        device = message.topic.split("/")[1]
        body = json.loads(message.payload)
        if self._lean:
            fields = ",".join(f"{name}={value}" for name, value in body["values"].items())
            self._lines.append(f"telemetry,device={device} {fields} {body['ts']}")
            if len(self._lines) >= BATCH:
                self._flush()
        else:
            point = Point("telemetry").tag("device", device).time(body["ts"], WritePrecision.NS)
            for name, value in body["values"].items():
                point.field(name, value)
            self._writer.write("iot", "home", point)
        self.taken += 1
        if self.taken >= self._number:
            client.disconnect()

    def close(self) -> None:
        """Write what is left."""
        if self._lines:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        self._writer.write("iot", "home", self._lines)
        self._lines = []


def main() -> None:
    """Drain a session, or make it where `--messages` is 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--client-id", required=True)
    parser.add_argument("--sink", default="", help="URL that takes the lines")
    parser.add_argument("--messages", type=int, default=0)
    parser.add_argument("--lean", action="store_true")
    given = parser.parse_args()
    client = Client(CallbackAPIVersion.VERSION2, given.client_id, clean_session=False)
    if not given.messages:
        client.on_connect = lambda client, *_: client.subscribe("devices/+/telemetry", 1)
        client.on_subscribe = lambda client, *_: client.disconnect()
        client.connect("127.0.0.1", given.port)
        client.loop_forever()
        return
    with InfluxDBClient(given.sink, "a-token", org="home") as influx:
        loop = Loop(influx, given.messages, lean=given.lean)
        client.on_message = loop.take
        before, began = time.process_time(), time.monotonic()
        client.connect("127.0.0.1", given.port)
        client.loop_forever()
        loop.close()
        used, took = time.process_time() - before, time.monotonic() - began
    print(json.dumps({"messages": loop.taken, "cpu_s": used, "seconds": took}))


if __name__ == "__main__":
    main()
