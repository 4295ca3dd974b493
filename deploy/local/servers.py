"""Configuration of the two nats-server processes, and of Mosquitto where it is the broker instead.

Broker and stream are two processes because `sync_interval` is set for a whole server: the stream fsyncs each batch
before it answers, and the broker stores single messages, for which that would be ten times slower.
"""

import getpass
import os
import shutil
import sysconfig
from pathlib import Path

from contracts.streams import MAX_PAYLOAD

RECEIVE_WINDOW = 4096
"""How many messages Mosquitto hands to one ingest before it waits for acknowledgements."""

FILTER_WINDOW = 768
"""The same for nats-server, which counts each filter alone, and one that ends in `#` twice."""

SESSION_WINDOW = 65_535
"""Most messages over all filters of one session: nats-server refuses the subscription with which it might be more."""


def nats_server() -> str:
    """Path of the nats-server program that the wheel brought."""
    return shutil.which("nats-server", path=sysconfig.get_path("scripts")) or "nats-server"


def mosquitto() -> str | None:
    """Path of the mosquitto program, which Debian keeps out of most users' PATH, or None if it is not installed."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")


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
    that. `max_ack_pending` is how many messages of one filter one ingest may hold unacknowledged.
    """
    return f"""
server_name: sensorium-broker
listen: "{host}:-1"
max_payload: {MAX_PAYLOAD}
jetstream {{ store_dir: "{directory}" }}
mqtt {{ listen: "{host}:{mqtt_port}", ack_wait: "5s", max_ack_pending: {FILTER_WINDOW} }}
"""


def mosquitto_config(directory: Path, host: str, mqtt_port: int) -> str:
    """Mosquitto as MQTT broker.

    It writes what it holds to disk every `autosave_interval` seconds, not message by message: a crash of Mosquitto
    itself loses what it had acknowledged since. nats-server, the default, writes each message before it answers.
    """
    return f"""
listener {mqtt_port} {host}
user {getpass.getuser()}
allow_anonymous true
persistence true
persistence_location {directory}/
autosave_interval 5
max_inflight_messages {RECEIVE_WINDOW}
max_packet_size {MAX_PAYLOAD}
max_queued_messages 0
max_queued_bytes 1073741824
"""
