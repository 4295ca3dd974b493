"""The stack on one machine: which processes it is made of, and how each is told about the others."""

import fcntl
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from contracts.settings import known_store
from deploy.local import addresses, keys, ports, servers
from deploy.local.supervisor import Program

HOST = "127.0.0.1"
PARTITIONS = 4
"""On one machine each partition costs an fsync a batch, and there is one processor to share them: see decision 0004."""

STORE_TOKEN = "SENSORIUM_STORE_TOKEN"  # noqa: S105 - the variable that has it
"""Where the token for the time-series store is found: what commands are given, other users of the machine can read."""

SERVERS, SERVICES, INTAKE = range(3)
"""Tiers, in the order of starting; stopping goes the other way."""


class StackError(Exception):
    """The stack cannot start; the message says why, and what to do."""


@dataclass(frozen=True)
class Options:
    """What `sensorium up` was asked for.

    `broker` is `nats`, `mosquitto`, or `mqtt://HOST:PORT` of one that runs. `store` is a time-series store, as
    contracts.stores reads it, or nothing for a file in `data_dir`. `env` has variables of the services.
    """

    data_dir: Path
    broker: str = "nats"
    mqtt_port: int = 1883
    api_port: int = 8080
    alerting_port: int = 8081
    nats_port: int = 4222
    store: str = ""
    env: Mapping[str, str] = field(default_factory=dict)


class Stack:
    """The programs of a stack, its addresses and its keys.

    Building one takes the data directory for this process alone, and writes the servers' configuration there. Raises
    StackError, or PortInUseError.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.directory = options.data_dir.resolve()
        self.mqtt_host, self.mqtt_port = _broker_address(options)
        self.store = _store(options, self.directory)
        self._check_ports()
        os.umask(0o077)  # for the databases and logs of every process that is started: they are nobody else's
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        self._lock = _take(self.directory)
        self.key_file = self.directory / "admin.key"
        self.key = keys.load_or_make(self.key_file)
        self._token = keys.load_or_make(self.directory / "stream.token")
        self._monitor_port, ingest_port, processor_port = ports.free(HOST, 3)
        self.urls = {
            "ingest": f"http://{HOST}:{ingest_port}",
            "processor": f"http://{HOST}:{processor_port}",
            "devices_api": f"http://{HOST}:{options.api_port}",
            "alerting": f"http://{HOST}:{options.alerting_port}",
        }
        addresses.write(self.directory, (self.mqtt_host, self.mqtt_port), self.urls)

    def close(self) -> None:
        """Let others have the data directory."""
        self._lock.close()

    def programs(self) -> list[Program]:
        """List what has to run, servers first."""
        found = [
            self._server(
                "stream",
                servers.stream_config(
                    self.directory / "stream", HOST, self.options.nats_port, self._monitor_port, self._token
                ),
            )
        ]
        if self.options.broker == "nats":
            found.append(self._server("broker", servers.broker_config(self.directory / "broker", HOST, self.mqtt_port)))
        elif self.options.broker == "mosquitto":
            found.append(self._mosquitto())
        found += [
            self._service(
                "ingest",
                INTAKE,
                self._stream("INGEST_")
                | {
                    "INGEST_MQTT_HOST": self.mqtt_host,
                    "INGEST_MQTT_PORT": str(self.mqtt_port),
                    "INGEST_NATS_MONITOR_URL": f"http://{HOST}:{self._monitor_port}",
                    # A first device shall be seen without further ado; who wants it otherwise says so.
                    "INGEST_UNKNOWN_DEVICE": os.environ.get("INGEST_UNKNOWN_DEVICE", "register"),
                    "INGEST_PARTITIONS": str(PARTITIONS),
                },
            ),
            self._service("processor", SERVICES, self._stream("PROCESSOR_") | self._series("PROCESSOR_")),
            self._service(
                "devices_api",
                SERVICES,
                self._stream("DEVICES_API_")
                | self._series("DEVICES_API_")
                | {
                    "DEVICES_API_DATABASE_URL": f"sqlite+aiosqlite:///{self.directory / 'registry.sqlite3'}",
                    "DEVICES_API_KEY": self.key,
                    "DEVICES_API_MQTT_HOST": self.mqtt_host,
                    "DEVICES_API_MQTT_PORT": str(self.mqtt_port),
                },
            ),
            self._service(
                "alerting",
                SERVICES,
                self._stream("ALERTING_")
                | {
                    "ALERTING_DATABASE_URL": f"sqlite+aiosqlite:///{self.directory / 'alerting.sqlite3'}",
                    "ALERTING_KEY": self.key,
                    "ALERTING_DEVICES_API_URL": f"http://{HOST}:{self.options.api_port}",
                    "ALERTING_DEVICES_API_KEY": self.key,
                },
            ),
        ]
        return found

    def _check_ports(self) -> None:
        wanted = {"--api-port": self.options.api_port, "--alerting-port": self.options.alerting_port}
        wanted["--nats-port"] = self.options.nats_port
        if self.options.broker in ("nats", "mosquitto"):
            wanted["--mqtt-port"] = self.options.mqtt_port
        for option, port in wanted.items():
            ports.check(HOST, port, option)

    def _stream(self, prefix: str) -> dict[str, str]:
        url = f"nats://{HOST}:{self.options.nats_port}"
        return {f"{prefix}NATS_URL": url, f"{prefix}NATS_TOKEN": self._token}

    def _series(self, prefix: str) -> dict[str, str]:
        """Give processor, which writes the store, and devices_api, which reads it, the same one."""
        token = os.environ.get(STORE_TOKEN)
        return {f"{prefix}STORE": self.store} | ({f"{prefix}STORE_TOKEN": token} if token else {})

    def _service(self, name: str, tier: int, env: dict[str, str]) -> Program:
        prefix = f"{name.upper()}_"
        port = self.urls[name].rpartition(":")[2]
        common = {f"{prefix}HOST": HOST, f"{prefix}PORT": port, f"{prefix}DRAIN_SECONDS": "3"}
        return Program(name, [sys.executable, "-m", name], tier, common | env | dict(self.options.env))

    def _server(self, name: str, config: str) -> Program:
        path = self.directory / f"{name}.conf"
        path.touch(mode=0o600)
        path.write_text(config)
        return Program(name, [servers.nats_server(), "-c", str(path)], SERVERS)

    def _mosquitto(self) -> Program:
        program = servers.mosquitto()
        if program is None:
            raise StackError("mosquitto is not installed: install the package 'mosquitto', or use --broker nats")
        store = self.directory / "mosquitto"
        store.mkdir(exist_ok=True)
        path = self.directory / "mosquitto.conf"
        path.write_text(servers.mosquitto_config(store, HOST, self.mqtt_port))
        return Program("broker", [program, "-c", str(path)], SERVERS)


def _store(options: Options, directory: Path) -> str:
    try:
        return known_store(options.store or str(directory / "timeseries.sqlite3"))
    except ValueError as error:
        raise StackError(f"--store: {error}; a token is read from {STORE_TOKEN}") from error


def _broker_address(options: Options) -> tuple[str, int]:
    if options.broker in ("nats", "mosquitto"):
        return HOST, options.mqtt_port
    url = urlsplit(options.broker)
    if url.scheme != "mqtt" or not url.hostname or url.username or url.password:
        raise StackError(
            f"--broker {options.broker}: use nats, mosquitto or mqtt://HOST[:PORT]; "
            "a user and password go into INGEST_MQTT_USERNAME and INGEST_MQTT_PASSWORD, "
            "and those of devices_api into DEVICES_API_MQTT_USERNAME and DEVICES_API_MQTT_PASSWORD"
        )
    return url.hostname, url.port or 1883


def _take(directory: Path) -> IO[str]:
    """Lock `directory` until the returned file is closed."""
    lock = (directory / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise StackError(
            f"{directory} is in use by another stack: stop it, or choose another with --data-dir"
        ) from None
    return lock
