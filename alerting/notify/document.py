"""A document: what an operator writes beside rules. Pure."""

from enum import StrEnum
from typing import Any

import msgspec

ROUTING = "routing"
"""Id of the only document of its kind."""


class Kind(StrEnum):
    """What a document is."""

    RECEIVER = "receiver"
    ROUTING = "routing"
    SILENCE = "silence"
    CALENDAR = "calendar"
    CHAIN = "chain"


MOST: dict[Kind, int] = {
    Kind.RECEIVER: 1000,
    Kind.ROUTING: 1,
    Kind.SILENCE: 10_000,
    Kind.CALENDAR: 1000,
    Kind.CHAIN: 1000,
}
"""How many documents of a kind there may be."""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A document as it stands. `secrets` are what is never read out; times in ns since 1970 UTC."""

    kind: Kind
    id: str
    version: int
    content: dict[str, Any]
    secrets: dict[str, Any]
    created_at: int
    updated_at: int
