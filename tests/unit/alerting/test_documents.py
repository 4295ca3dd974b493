"""Documents on disk: versions, revisions, and that all of them together stay valid."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from alerting.notify.document import MOST, Document, Kind
from alerting.notify.documents import (
    Documents,
    FullError,
    InvalidError,
    MissingError,
    RefusedError,
    StaleError,
)


def dangling(documents: Sequence[Document]) -> str | None:
    """Say whether routing names a receiver that is not there."""
    receivers = {found.id for found in documents if found.kind is Kind.RECEIVER}
    named = {found.content["receiver"] for found in documents if found.kind is Kind.ROUTING}
    return f"unknown: {sorted(named - receivers)}" if named - receivers else None


@pytest.fixture
def documents(engine: AsyncEngine) -> Documents:
    return Documents(engine, dangling)


async def make(documents: Documents, kind: Kind, name: str, **content: Any) -> Document:  # noqa: ANN401 - any content
    return await documents.create(kind, name, content, {}, 1)


async def test_a_document_is_read_as_it_was_written(documents: Documents) -> None:
    made = await documents.create(Kind.RECEIVER, "ops", {"url": "x"}, {"key": "s"}, 5)
    assert made.version == 1
    assert await documents.get(Kind.RECEIVER, "ops") == made
    assert await documents.get(Kind.CHAIN, "ops") is None
    changed = await documents.replace(Kind.RECEIVER, "ops", {"url": "y"}, None, 9, version=1)
    assert (changed.version, changed.secrets, changed.created_at, changed.updated_at) == (2, {"key": "s"}, 5, 9)
    assert await documents.all() == (2, [changed])
    await documents.delete(Kind.RECEIVER, "ops", version=2)
    assert await documents.all() == (3, [])


async def test_lists_go_on_behind_an_id(documents: Documents) -> None:
    for name in ("c", "a", "b"):
        await make(documents, Kind.SILENCE, name)
    await make(documents, Kind.CALENDAR, "aa")
    assert [found.id for found in await documents.page(Kind.SILENCE, 2)] == ["a", "b"]
    assert [found.id for found in await documents.page(Kind.SILENCE, 2, after="b")] == ["c"]


async def test_a_refused_change_writes_nothing(documents: Documents, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await make(documents, Kind.RECEIVER, "ops")
    monkeypatch.setitem(MOST, Kind.CHAIN, 0)
    with pytest.raises(StaleError, match="already"):
        await make(documents, Kind.RECEIVER, "ops", other=True)
    with pytest.raises(StaleError, match="at version 1"):
        await documents.replace(Kind.RECEIVER, "ops", {}, {}, 2, version=7)
    with pytest.raises(MissingError, match="no receiver 'nobody'"):
        await documents.delete(Kind.RECEIVER, "nobody")
    with pytest.raises(FullError):
        await make(documents, Kind.CHAIN, "night")
    with pytest.raises(InvalidError, match="nobody"):
        await make(documents, Kind.ROUTING, "routing", receiver="nobody")
    assert await documents.all() == (1, [first])


async def test_what_is_named_cannot_be_deleted(documents: Documents) -> None:
    await make(documents, Kind.RECEIVER, "ops")
    await make(documents, Kind.ROUTING, "routing", receiver="ops")
    with pytest.raises(InvalidError, match="ops"):
        await documents.delete(Kind.RECEIVER, "ops")
    assert await documents.get(Kind.RECEIVER, "ops") is not None


async def test_of_changes_at_once_one_wins_and_each_is_counted(documents: Documents) -> None:
    await make(documents, Kind.SILENCE, "s", n=0)

    async def change(number: int) -> int:
        try:
            await documents.replace(Kind.SILENCE, "s", {"n": number}, None, 2, version=1)
        except RefusedError:
            return 0
        return number

    won = [number for number in await asyncio.gather(*(change(number) for number in range(1, 6))) if number]
    found = await documents.get(Kind.SILENCE, "s")
    assert found is not None
    assert [found.content["n"]] == won
    assert await documents.revision() == 2


async def test_a_receiver_and_who_names_it_are_never_lost_to_each_other(documents: Documents) -> None:
    await make(documents, Kind.RECEIVER, "ops")
    results = await asyncio.gather(
        documents.delete(Kind.RECEIVER, "ops"),
        make(documents, Kind.ROUTING, "routing", receiver="ops"),
        return_exceptions=True,
    )
    assert sum(isinstance(result, InvalidError) for result in results) == 1
    assert dangling((await documents.all())[1]) is None


async def test_silences_that_are_over_make_room_for_others(
    documents: Documents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MOST, Kind.SILENCE, 2)
    await make(documents, Kind.SILENCE, "over", ends_at="1970-01-01T00:00:01Z")
    await make(documents, Kind.SILENCE, "lasting", ends_at="2100-01-01T00:00:00Z")
    with pytest.raises(FullError):
        await make(documents, Kind.SILENCE, "too-early")
    await documents.create(Kind.SILENCE, "new", {}, {}, 1_000_000_000)
    assert [found.id for found in await documents.page(Kind.SILENCE, 9)] == ["lasting", "new"]
