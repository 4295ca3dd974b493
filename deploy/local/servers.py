"""Configuration of the two nats-server processes, and of Mosquitto where it is the broker instead.

Broker and stream are two processes because `sync_interval` is set for a whole server: the stream fsyncs each batch
before it answers, and the broker stores single messages, for which that would be ten times slower.
"""

import shutil
import sysconfig
from pathlib import Path

MAX_PAYLOAD = 8 << 20
"""Largest message in bytes that either server takes."""


def nats_server() -> str:
    """Path of the nats-server program that the wheel brought."""
    return shutil.which("nats-server", path=sysconfig.get_path("scripts")) or "nats-server"


def stream_config(directory: Path, host: str, port: int, monitor_port: int, token: str) -> str:
    """nats-server as stream and key-value store: every acknowledgement is after the fsync."""
    return f"""
server_name: sensorium-stream
listen: "{host}:{port}"
http: "{host}:{monitor_port}"
max_payload: {MAX_PAYLOAD}
authorization {{ token: "{token}" }}
jetstream {{ store_dir: "{directory}", sync_interval: always }}
"""


def broker_config(directory: Path, host: str, mqtt_port: int) -> str:
    """nats-server as MQTT broker. Its own port is free to be any: nobody uses it.

    `ack_wait` is how long a message waits that was handed to an ingest which died: the broker sends it again after
    that. `max_ack_pending` is how many messages one ingest may hold unacknowledged.
    """
    return f"""
server_name: sensorium-broker
listen: "{host}:-1"
max_payload: {MAX_PAYLOAD}
jetstream {{ store_dir: "{directory}" }}
mqtt {{ listen: "{host}:{mqtt_port}", ack_wait: "5s", max_ack_pending: 8192 }}
"""


def mosquitto_config(directory: Path, host: str, mqtt_port: int) -> str:
    """Mosquitto as MQTT broker: sessions on disk, and no limit below what ingest's receive window sets."""
    return f"""
listener {mqtt_port} {host}
allow_anonymous true
persistence true
persistence_location {directory}/
autosave_interval 5
max_inflight_messages 0
max_queued_messages 0
max_queued_bytes 1073741824
"""
