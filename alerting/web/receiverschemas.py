"""Receivers as the API answers them, and the notification that tests one."""

from typing import Annotated, Any, Self

from fastapi import Path
from pydantic import BaseModel, Field

from alerting.notify.document import Document
from alerting.notify.outcome import Result
from alerting.notify.receivers import shown
from contracts.alerts import AlertEvent, Notification
from contracts.times import format_time

ReceiverId = Annotated[str, Path(pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64, description="Id of a receiver")]


class ReceiverOut(BaseModel):
    """A receiver. `receiver` is what was written, with `<secret>` in place of each secret; it may be written back."""

    id: str
    version: int
    created_at: str
    updated_at: str
    receiver: dict[str, Any]

    @classmethod
    def of(cls, document: Document) -> Self:
        """Show a receiver."""
        return cls(
            id=document.id,
            version=document.version,
            created_at=format_time(document.created_at),
            updated_at=format_time(document.updated_at),
            receiver=shown(document.content, document.secrets),
        )


class ReceiverPage(BaseModel):
    """A page of receivers by id; `next` is the cursor of the page behind it."""

    items: list[ReceiverOut]
    next: str | None

    @classmethod
    def of(cls, found: list[Document], limit: int) -> Self:
        """Show up to `limit` of `found`, of which there is one more if there is another page."""
        items = [ReceiverOut.of(one) for one in found[:limit]]
        return cls(items=items, next=items[-1].id if len(found) > limit else None)


class Tried(BaseModel):
    """What came of a test: `status` is the receiver's, where it gave a number."""

    result: Result
    status: int | None
    latency_ms: float
    problem: str = Field(description="In words, without secrets; empty where it was delivered")


class Resent(BaseModel):
    """How many notifications are tried again."""

    resent: int


def invented(receiver: str, name: str, at: int) -> Notification:
    """Invent an alert to test a receiver with, at `at` in ns since 1970 UTC."""
    labels = {"alertname": "Test", "severity": "info", "receiver": receiver}
    annotations = {"summary": "Somebody tests whether this receiver is told of alerts."}
    event = AlertEvent(
        id=name,
        alert_id=name,
        state="firing",
        rule_id="test",
        rule="Test",
        rule_version=1,
        severity="info",
        labels=labels,
        annotations=annotations,
        started_at=at,
        changed_at=at,
    )
    return Notification(
        id=name,
        receiver=receiver,
        group_key=f"test-{name}"[:64],
        group_labels={"alertname": "Test"},
        common_labels=labels,
        common_annotations=annotations,
        status="firing",
        reason="test",
        alerts=[event],
        created_at=at,
    )
