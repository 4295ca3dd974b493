"""What devices_api does beside answering requests: loops that read, send, and tidy up, until they are told to finish.

It is imported after the start, since SQLAlchemy takes as long to import as everything else.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Protocol

from contracts.lease import Lease, LeaseBucket, Times
from contracts.logs import Log
from contracts.mqtt import Publisher
from contracts.uplink import Kind
from devices_api.credentials.dynsec import PLUGIN, dynsec_of
from devices_api.credentials.identity import Identity
from devices_api.credentials.passwords import Passwords
from devices_api.credentials.provisioning import Answering
from devices_api.errors import UnavailableError
from devices_api.jobs.job_devices import DeviceExport, DeviceImport
from devices_api.jobs.job_runner import Build, Runner
from devices_api.jobs.job_telemetry import TelemetryImport
from devices_api.jobs.jobs import Kind as JobKind
from devices_api.keys.keyring import Keyring
from devices_api.letters.autoreplay import AutoReplayer
from devices_api.letters.deadletters import DeadLetters
from devices_api.metrics import Metrics
from devices_api.registry.activityreader import ActivityReader
from devices_api.registry.presence import PresenceReader
from devices_api.registry.relay import Relay
from devices_api.repository import Repository
from devices_api.settings import Settings
from devices_api.stream import StreamServer
from devices_api.telemetry.timeseries import TimeSeries
from devices_api.twins.commander import AnswerReader, Commander
from devices_api.twins.downlink import ReportReader, TwinSender
from devices_api.twins.uplink import Handler, UplinkReader
from devices_api.upkeep import Upkeep

_LEASES = "devices_api_leases"
_LEASE_TIMES = Times(renew=1.0, lose=3.0, take=5.0)
"""After a replica was killed, another takes over what it did in five seconds."""


class Loop(Protocol):
    """Work that goes on until it is told to finish."""

    async def run(self) -> None:
        """Work; returns after `finish`, with what was in hand done."""

    def finish(self) -> None:
        """Take nothing more in."""


class Waking(Loop, Protocol):
    """A loop that looks for work now and then, and at once when it is woken."""

    def wake(self) -> None:
        """Tell of work."""


@dataclass(frozen=True)
class Tools:
    """What most of the loops need."""

    repository: Repository
    stream: StreamServer
    metrics: Metrics
    log: Log
    settings: Settings
    now: Callable[[], int] = field(kw_only=True)
    rng: Random = field(kw_only=True)


class Work:
    """The `loops` by name, and `mqtt`, by which some of them publish: it has to be run as well, and finished last.

    `identity` is what routes share with them, and `runner` is whom they wake when there is a job.
    """

    def __init__(
        self, tools: Tools, timeseries: TimeSeries, letters: DeadLetters, keyring: Keyring, passwords: Passwords
    ) -> None:
        repository, stream, settings = tools.repository, tools.stream, tools.settings
        metrics, log, now = tools.metrics, tools.log, tools.now
        mqtt = self.mqtt = Publisher(settings, tools.rng, log, "devices_api", UnavailableError)
        metrics.broker_connected.set_function(lambda: float(mqtt.up))
        self._relay = Relay(repository.outbox, stream, metrics, log)
        self._twins = TwinSender(repository.twins, mqtt, metrics, log, now)
        self._commander = Commander(repository.commands, mqtt, metrics, log, now=now, days=settings.command_days)
        dynsec = self._dynsec = dynsec_of(
            settings,
            repository.credentials,
            repository.accounts,
            metrics,
            log,
            now=now,
            clock=time.monotonic,
            name=secrets.token_hex(8),
        )
        limit = settings.auto_register_limit
        self.identity = Identity.on(
            repository,
            passwords,
            metrics,
            mirror=dynsec,
            now=now,
            entropy=secrets.token_bytes,
            registered=self.wake,
            limit=limit,
        )
        handlers: dict[Kind, Handler] = {
            "reported": ReportReader(repository.twins, self._twins.wake, now).take,
            "response": AnswerReader(repository.commands, metrics).take,
            "provision": Answering(self.identity.provisioning, mqtt.publish, metrics).take,
        }
        builds: dict[str, Build] = {
            JobKind.IMPORT_DEVICES: partial(DeviceImport, has=timeseries.has),
            JobKind.EXPORT_DEVICES: DeviceExport,
            JobKind.IMPORT_TELEMETRY: lambda job, file: TelemetryImport(job, file, repository.addressed, stream, now),
        }
        self.runner = Runner(repository.jobs, builds, self.wake, metrics, log, now)
        self.loops: dict[str, Loop] = {
            "relay": self._relay,
            "presence": PresenceReader(
                repository, stream, self.wake, metrics, log, lease=self._lease(tools, "presence"), now=now, limit=limit
            ),
            "activity": ActivityReader(repository, stream, metrics, log, limit),
            "autoreplay": AutoReplayer(repository.auto_replays, letters, log, now),
            "twins": self._twins,
            "commander": self._commander,
            "broker": self.identity.broker,
            "uplink": UplinkReader(stream, handlers, metrics, log, now),
            "jobs": self.runner,
            "upkeep": Upkeep(repository, keyring, log, now, audit_days=settings.audit_days),
        }
        self._waking: list[Waking] = [self._relay, self._twins, self._commander]
        if dynsec is not None:
            self.loops["dynsec"] = dynsec
            self._waking.append(dynsec)

    @staticmethod
    def _lease(tools: Tools, key: str) -> Lease:
        """Build the lease on what only one replica may do at a time."""
        bucket, me = LeaseBucket(tools.stream.link, _LEASES), secrets.token_hex(8)
        return Lease(bucket, key, me, _LEASE_TIMES, time.monotonic, lambda: None, tools.log)

    def waiting_for(self) -> list[str]:
        """Name what is missing."""
        plugin = [PLUGIN] if self._dynsec is not None and not self._dynsec.up else []
        return self.mqtt.waiting_for() + plugin

    def wake(self) -> None:
        """Tell of a change, so that others hear of it at once."""
        for loop in self._waking:
            loop.wake()

    def finish(self) -> None:
        """Let all loops finish what they have in hand."""
        for loop in self.loops.values():
            loop.finish()

    async def announce_all(self) -> None:
        """Put all devices and profiles on the outbox: the bucket lost its records."""
        await self._relay.announce_all()
