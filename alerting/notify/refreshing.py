"""Pushes alerts that fire to every Prometheus Alertmanager among the receivers again and again, so that they last."""

import asyncio
from collections.abc import AsyncIterator, Callable
from random import Random

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from alerting.life.alert import State
from alerting.metrics import Metrics
from alerting.notify.book import Book
from alerting.notify.channels import SECOND, Channels
from alerting.notify.deliveries import DeliveryState
from alerting.notify.outcome import Result
from alerting.notify.receivers import AlertmanagerReceiver
from alerting.tables import alert
from alerting.tables_notify import alert_delivery, delivery
from contracts.alerts import AlertEvent
from contracts.backoff import keep_running
from contracts.logs import Log

_PAGE = 1000
_LOOK_S = 1.0


class Refresher:
    """Pushes what a receiver was told of, as it is now: a push that fails is made up for by the next."""

    def __init__(
        self,
        engine: AsyncEngine,
        book: Book,
        channels: Channels,
        metrics: Metrics,
        now: Callable[[], int],
        leading: Callable[[], bool] = lambda: True,
    ) -> None:
        self._engine, self._book, self._channels, self._metrics = engine, book, channels, metrics
        self._now, self._leading = now, leading
        self._due: dict[str, int] = {}

    async def run(self, rng: Random, log: Log) -> None:
        """Push until cancelled."""

        async def rounds() -> None:
            while True:
                await self.turn()
                await asyncio.sleep(_LOOK_S)

        await keep_running("refreshing", rounds, rng, log)

    async def turn(self) -> None:
        """Push to each receiver whose time has come. Raises what the database raises."""
        if not self._leading():
            self._due.clear()
            return
        found = await self._book.all()
        receivers = {name: one for name, one in found.items() if isinstance(one, AlertmanagerReceiver)}
        self._due = {name: due for name, due in self._due.items() if name in receivers}
        late = {name: one for name, one in receivers.items() if self._due.get(name, 0) <= self._now()}
        for name, receiver in late.items():
            self._due[name] = self._now() + receiver.resend_seconds * SECOND
        await asyncio.gather(*(self._refresh(name, receiver) for name, receiver in late.items()))

    async def _refresh(self, name: str, receiver: AlertmanagerReceiver) -> None:
        async for alerts in self._told(name):
            outcome = await self._channels.push(receiver, alerts, [])
            taken = outcome.result is Result.DELIVERED
            self._metrics.pushes.labels("taken" if taken else "failed").inc(len(alerts))
            if not taken:
                return

    async def _told(self, name: str) -> AsyncIterator[list[AlertEvent]]:
        """Read in pages the alerts that fire and that the receiver was told of."""
        told = (
            sa.select(alert_delivery.c.alert_id)
            .join(delivery, delivery.c.id == alert_delivery.c.delivery_id)
            .where(
                alert_delivery.c.alert_id == alert.c.id,
                delivery.c.receiver == name,
                delivery.c.state == DeliveryState.DELIVERED,
            )
        )
        after = ""
        while True:
            query = sa.select(alert).where(alert.c.state == State.FIRING, alert.c.id > after, told.exists())
            async with self._engine.connect() as connection:
                rows = (await connection.execute(query.order_by(alert.c.id).limit(_PAGE))).all()
            if not rows:
                return
            yield [_event(row) for row in rows]
            after = rows[-1].id


def _event(row: sa.Row[tuple[object, ...]]) -> AlertEvent:
    return AlertEvent(
        id=row.id,
        alert_id=row.id,
        state="firing",
        rule_id=row.rule_id,
        rule=row.rule,
        rule_version=row.rule_version,
        severity=row.severity,
        labels=row.labels,
        annotations=row.annotations,
        runbook=row.runbook,
        started_at=row.started_at,
        changed_at=row.started_at,
    )
