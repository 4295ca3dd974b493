"""The ways to receivers of every type, and a notification to send on them."""

from collections.abc import Callable

from alerting.database import connect
from alerting.notify.apprises import Apprises
from alerting.notify.book import Book
from alerting.notify.channels import Channels
from alerting.notify.configuration import problem_of
from alerting.notify.documents import Documents
from alerting.notify.mail import Mail
from alerting.notify.webhook import Addresses, Webhook
from contracts.alerts import AlertEvent, Notification
from contracts.mqtt import Publisher

NOW = 1_767_225_600 * 10**9
ALERT = AlertEvent(
    id="c1",
    alert_id="a1",
    state="firing",
    rule_id="r1",
    rule="too hot",
    rule_version=1,
    severity="critical",
    device="silo-3",
    labels={"alertname": "too hot", "device": "silo-3", "severity": "critical"},
    started_at=NOW,
    changed_at=NOW,
)
NOTIFICATION = Notification(
    id="n1", receiver="ops", group_key="g", status="firing", reason="new", alerts=[ALERT], created_at=NOW
)


def ways(
    timeout: float = 5.0,
    *,
    apprise: bool = False,
    mail: Mail | None = None,
    mqtt: Publisher | None = None,
    now: Callable[[], int] = lambda: NOW,
) -> Channels:
    """Build the ways to receivers at private addresses too, and to none by its id."""
    addresses = Addresses(allow_private=True)
    return Channels(
        Book(Documents(connect("sqlite+aiosqlite:///never-opened"), problem_of), ""),
        Webhook(timeout, addresses),
        mail or Mail(timeout, addresses),
        Apprises(timeout, addresses, allowed=apprise),
        mqtt,
        "",
        now,
    )
