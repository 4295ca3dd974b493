"""Routing, silences, calendars and chains as the API answers them."""

from typing import Annotated, Any, Self

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

from alerting.notify.document import Document
from alerting.notify.grouping import Group
from alerting.notify.routing import Route
from contracts.times import format_time

DocumentId = Annotated[str, Path(pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64, description="Its id")]


class DocumentOut(BaseModel):
    """A document: `content` is what was written, and may be written back."""

    id: str
    version: int
    created_at: str
    updated_at: str
    content: dict[str, Any]

    @classmethod
    def of(cls, document: Document) -> Self:
        """Show a document."""
        return cls(
            id=document.id,
            version=document.version,
            created_at=format_time(document.created_at),
            updated_at=format_time(document.updated_at),
            content=document.content,
        )


class DocumentPage(BaseModel):
    """A page of documents by id; `next` is the cursor of the page behind it."""

    items: list[DocumentOut]
    next: str | None

    @classmethod
    def of(cls, found: list[Document], limit: int) -> Self:
        """Show up to `limit` of `found`, of which there is one more if there is another page."""
        items = [DocumentOut.of(one) for one in found[:limit]]
        return cls(items=items, next=items[-1].id if len(found) > limit else None)


class Asked(BaseModel):
    """Labels of an alert that there might be."""

    model_config = ConfigDict(extra="forbid")

    labels: dict[Annotated[str, Field(max_length=128)], Annotated[str, Field(max_length=4096)]] = Field(max_length=64)


class RouteOut(BaseModel):
    """A route that tells of it: whom first, and in which group."""

    receiver: str | None
    chain: str | None
    receivers: list[str] = Field(description="Who is told first; of a chain those of its first step")
    group_key: str
    group_labels: dict[str, str]
    muted: bool = Field(description="Whether its own schedules mute it now")

    @classmethod
    def of(cls, route: Route, labels: dict[str, str], now: int) -> Self:
        """Show a route for an alert with these labels."""
        return cls(
            receiver=route.receiver,
            chain=route.chain,
            receivers=[] if route.steps is None else list(route.steps.steps[0].receivers),
            group_key=route.group_key(labels),
            group_labels=route.group_labels(labels),
            muted=route.muted_until(now) is not None,
        )


class Answered(BaseModel):
    """Who would be told of an alert with these labels, and what would mute it now."""

    routes: list[RouteOut]
    silenced_by: list[str]
    inhibited_by: list[str]


class GroupOut(BaseModel):
    """A notification group. `told` has the level at which each receiver was last told of an alert in it."""

    key: str
    labels: dict[str, str]
    born_at: str
    told_at: str | None
    due_at: str | None
    chain_began_at: str | None
    chain_steps: int
    muted: bool
    alerts: int
    told: dict[str, dict[str, int]] = Field(description="By alert, of up to 100 alerts")

    @classmethod
    def of(cls, key: str, group: Group, due: int | None) -> Self:
        """Show a group."""
        return cls(
            key=key,
            labels=group.labels,
            born_at=format_time(group.born),
            told_at=None if group.told_at is None else format_time(group.told_at),
            due_at=None if due is None else format_time(due),
            chain_began_at=None if group.began is None else format_time(group.began),
            chain_steps=group.steps,
            muted=group.muted,
            alerts=len(group.members),
            told={name: member.told for name, member in list(group.members.items())[:100]},
        )


class GroupPage(BaseModel):
    """A page of notification groups by key; `next` is the cursor of the page behind it."""

    items: list[GroupOut]
    next: str | None
