"""The way to a receiver of each type."""

from collections.abc import Callable

import msgspec

from alerting.notify.apprises import Apprises
from alerting.notify.bodies import SIGNATURE, plain_body, pushed, signature, superseded, webhook_body
from alerting.notify.book import Book, UnreadableError
from alerting.notify.mail import Mail
from alerting.notify.messages import MOST_TOPIC, line
from alerting.notify.outcome import DELIVERED, Outcome, Result
from alerting.notify.receivers import (
    AlertmanagerReceiver,
    AppriseReceiver,
    EmailReceiver,
    MqttReceiver,
    Receiver,
    WebhookReceiver,
)
from alerting.notify.webhook import Webhook
from alerting.templates import TemplateFailedError
from contracts.alerts import AlertEvent, Notification
from contracts.mqtt import Publisher

SECOND = 1_000_000_000
LASTS = 4
"""An alert that was pushed to an Alertmanager and fires lasts there for so many times the time between two pushes."""

_json = msgspec.json.Encoder()


class BrokerAwayError(Exception):
    """The MQTT broker cannot be reached, or does not acknowledge."""


class Channels:
    """Delivers to receivers of all types. `mqtt` is None where the service has no broker."""

    def __init__(
        self,
        book: Book,
        webhook: Webhook,
        mail: Mail,
        apprises: Apprises,
        mqtt: Publisher | None,
        public_url: str,
        now: Callable[[], int],
    ) -> None:
        self._book, self._webhook, self._mail, self._apprises, self._mqtt = book, webhook, mail, apprises, mqtt
        self._public_url, self._now = public_url.rstrip("/"), now

    async def deliver(self, name: str, notification: Notification, tries: int = 0) -> Outcome | None:
        """Deliver to the receiver `name`, as `send` does; None if there is none."""
        try:
            receiver = await self._book.find(name)
        except UnreadableError:
            return Outcome(Result.MISCONFIGURED, "this version does not understand the receiver")
        return None if receiver is None else await self.send(receiver, notification, tries)

    async def send(self, receiver: Receiver, notification: Notification, tries: int = 0) -> Outcome:
        """Deliver a notification once; `tries` is how often it was tried before. Never raises."""
        told = _told(receiver, notification)
        if told is None:
            return msgspec.structs.replace(DELIVERED, problem="all of it is over, and the receiver is not told of that")
        try:
            return await self._send(receiver, told, tries)
        except TemplateFailedError as error:
            return Outcome(Result.REJECTED, f"its template: {error}")

    async def _send(self, receiver: Receiver, notification: Notification, tries: int) -> Outcome:
        match receiver:
            case WebhookReceiver():
                return await self._post(receiver, notification, tries)
            case AlertmanagerReceiver():
                changed = notification.alerts if notification.reason == "changed" else []
                return await self.push(receiver, notification.alerts, changed, tries)
            case MqttReceiver():
                return await self._publish(receiver, notification)
            case EmailReceiver():
                return await self._mail.send(receiver, notification, tries)
            case AppriseReceiver():
                return await self._apprises.send(receiver, notification)

    async def push(
        self, receiver: AlertmanagerReceiver, alerts: list[AlertEvent], changed: list[AlertEvent], tries: int = 0
    ) -> Outcome:
        """Push alerts to an Alertmanager, those that fire for LASTS times the receiver's resend_seconds.

        What the ones in `changed` were before is ended.
        """
        now = self._now()
        until = now + LASTS * receiver.resend_seconds * SECOND
        body = _json.encode(pushed(alerts, self._public_url, until) + superseded(changed, now))
        headers = {} if receiver.bearer is None else {"Authorization": f"Bearer {receiver.bearer}"}
        return await self._webhook.post(f"{receiver.url.rstrip('/')}/api/v2/alerts", body, headers, tries)

    async def _post(self, receiver: WebhookReceiver, notification: Notification, tries: int) -> Outcome:
        plain = receiver.format == "plain"
        body = plain_body(notification) if plain else webhook_body(notification, self._public_url)
        headers = dict(receiver.headers)
        if receiver.bearer is not None:
            headers["Authorization"] = f"Bearer {receiver.bearer}"
        if receiver.hmac_key is not None:
            headers[SIGNATURE] = signature(receiver.hmac_key, body, self._now() // SECOND)
        return await self._webhook.post(receiver.url, body, headers, tries)

    async def _publish(self, receiver: MqttReceiver, notification: Notification) -> Outcome:
        if self._mqtt is None:
            return Outcome(Result.REFUSED, "the service has no broker (ALERTING_MQTT_HOST)")
        topic = line(receiver.topic, notification, MOST_TOPIC)
        if not topic or {"+", "#"} & set(topic) or topic.startswith("$"):
            return Outcome(Result.REJECTED, "its topic is empty, or holds + or #, or begins with $")
        try:
            await self._mqtt.publish(topic, plain_body(notification), retain=receiver.retain)
        except (BrokerAwayError, ValueError) as error:
            return Outcome(Result.FAILED, str(error) or type(error).__name__)
        return DELIVERED

    async def close(self) -> None:
        """Close what webhooks use; the broker's connection is its maker's."""
        await self._webhook.close()


def _told(receiver: Receiver, notification: Notification) -> Notification | None:
    """Give what the receiver is told: nothing of alerts that are over, if it does not want that."""
    if receiver.send_resolved:
        return notification
    firing = [alert for alert in notification.alerts if alert.state == "firing"]
    return msgspec.structs.replace(notification, alerts=firing) if firing else None
