"""All of delivering, put together: the receivers, the ways to them, the sender, and what keeps it going."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from sqlalchemy.ext.asyncio import AsyncEngine

from alerting.metrics import Metrics
from alerting.notify.apprises import Apprises
from alerting.notify.book import Book
from alerting.notify.channels import BrokerAwayError, Channels
from alerting.notify.deliveries import Deliveries
from alerting.notify.documents import Documents
from alerting.notify.mail import Mail
from alerting.notify.refreshing import Refresher
from alerting.notify.sender import Sender, Terms
from alerting.notify.webhook import Addresses, Webhook
from alerting.settings import Settings
from contracts.backoff import end, keep_running
from contracts.logs import Log
from contracts.mqtt import Publisher

_DAY_NS = 86_400 * 10**9


@dataclass(frozen=True)
class Tools:
    """What all of it uses: `now` gives ns since 1970 UTC."""

    metrics: Metrics
    log: Log
    now: Callable[[], int]
    rng: Random


class Delivering:
    """Delivers notifications, while `leading`. `documents` has the receivers; the database is migrated by `start`."""

    def __init__(
        self,
        settings: Settings,
        engine: AsyncEngine,
        documents: Documents,
        tools: Tools,
        leading: Callable[[], bool],
    ) -> None:
        metrics, log, now, rng = tools.metrics, tools.log, tools.now, tools.rng
        self._rng, self._log = rng, log
        timeout = settings.webhook_timeout_seconds
        addresses = Addresses(allow_private=settings.allow_private_webhooks)
        self._mqtt = Publisher(settings, rng, log, "alerting", BrokerAwayError) if settings.mqtt_host else None
        if self._mqtt is not None:
            metrics.broker_connected.set_function(lambda: float(self._mqtt is not None and self._mqtt.up))
        self.book = Book(documents, settings.webhook_url.get_secret_value())
        self.channels = Channels(
            self.book,
            Webhook(timeout, addresses),
            Mail(timeout, addresses),
            Apprises(timeout, addresses, allowed=settings.allow_apprise),
            self._mqtt,
            settings.public_url,
            now,
        )
        self.deliveries = Deliveries(engine)
        terms = Terms(
            give_up=int(settings.webhook_give_up_seconds * 1e9),
            history=int(settings.history_days * _DAY_NS),
            leading=leading,
        )
        self.sender = Sender(self.deliveries, self.channels.deliver, metrics, log, now, rng, terms)
        self._refresher = Refresher(engine, self.book, self.channels, metrics, now, leading)
        self._tasks: list[asyncio.Task[None]] = []
        self._sending: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._sending = asyncio.create_task(keep_running("sending", self.sender.run, self._rng, self._log))
        self._tasks.append(asyncio.create_task(self._refresher.run(self._rng, self._log)))
        if self._mqtt is not None:
            self._tasks.append(asyncio.create_task(keep_running("mqtt", self._mqtt.run, self._rng, self._log)))

    async def stop(self, grace: float) -> None:
        """Let the tries under way end, for `grace` seconds at most; then release everything."""
        await self.sender.stop(grace)
        if self._sending is not None:
            await end([self._sending])
            self._sending = None
        if self._mqtt is not None:
            self._mqtt.finish()
        tasks, self._tasks = self._tasks, []
        await end(tasks)
        await self.channels.close()
