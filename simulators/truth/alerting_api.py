"""The alerting API, as an operator asks it: which alerts of a rule fired, and when. By httpx."""

import asyncio
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from contracts.times import parse_time
from simulators.truth.alerts import Alert

_PAGE = 1000
_AT_ONCE = 8


class AlertingError(Exception):
    """The alerting API cannot be asked, so nothing can be said about alerts."""


class _Item(msgspec.Struct):
    id: str
    device: str
    started_at: str
    fired_at: str | None = None
    resolved_at: str | None = None


class _Page(msgspec.Struct):
    items: list[_Item]
    next: str | None = None


class _Change(msgspec.Struct):
    what: str
    changed_at: str


class _Changes(msgspec.Struct):
    items: list[_Change]
    next: str | None = None


T = TypeVar("T", _Page, _Changes)


async def fired(client: httpx.AsyncClient, rule: str, since: int) -> list[Alert]:
    """Give every alert of the rule with the id `rule` that fired and had begun at `since` (ns, event time) or later.

    `client` has the API's base URL, without `/api/v1`, and its key. Raises AlertingError if the API does not answer as
    agreed.
    """
    query: dict[str, Any] = {"rule": rule, "since": since, "state": ["firing", "resolved"], "limit": _PAGE}
    items: list[_Item] = []
    while True:
        page = await _get(client, "/api/v1/alerts", query, _Page)
        items += (item for item in page.items if item.fired_at is not None)
        if page.next is None:
            break
        query["cursor"] = page.next
    slots = asyncio.Semaphore(_AT_ONCE)

    async def whole(item: _Item) -> Alert:
        async with slots:
            at = await _fired_at(client, item)
        ended = None if item.resolved_at is None else parse_time(item.resolved_at)
        return Alert(item.id, item.device, parse_time(item.started_at), at, ended)

    return list(await asyncio.gather(*map(whole, items)))


async def _fired_at(client: httpx.AsyncClient, item: _Item) -> int:
    """Ask when, by the clock, an alert began to fire: it does so once, and early in its history."""
    query: dict[str, Any] = {"limit": 100}
    while True:
        page = await _get(client, f"/api/v1/alerts/{quote(item.id, safe='')}/history", query, _Changes)
        for change in page.items:
            if change.what == "firing":
                return parse_time(change.changed_at)
        if page.next is None:
            raise AlertingError(f"alert {item.id} fired, and its history does not say when")
        query["cursor"] = page.next


async def _get(client: httpx.AsyncClient, path: str, query: dict[str, Any], form: type[T]) -> T:
    try:
        answer = await client.get(path, params=query)
    except httpx.TransportError as error:
        raise AlertingError(f"alerting does not answer: {error!r}") from error
    if answer.status_code != HTTPStatus.OK:
        raise AlertingError(f"alerting answers {answer.status_code}: {answer.text[:200]}")
    try:
        return msgspec.json.decode(answer.content, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AlertingError(f"alerting answers something else than was agreed: {error}") from error
