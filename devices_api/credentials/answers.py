"""Requests that were sent with an idempotency key, and what was answered to them: each is done by whoever claims it.

Every method raises UnavailableError if the database cannot be reached now.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from contracts.times import SECOND
from devices_api.database import WRITE, transaction
from devices_api.tables_access import answer

CLAIM = 60 * SECOND
"""For so long a claim holds unless it is renewed: whoever made it may have died."""

KEPT = 86_400 * SECOND
"""For so long an answer is kept, from when the request was claimed last."""


class Refused(Enum):
    """Why a request is not to be done."""

    RUNNING = auto()
    """It is being done."""
    ANOTHER = auto()
    """The key was sent with another request."""


@dataclass(frozen=True)
class Answer:
    """What was answered; `body` is None where it is not kept."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None


class Answers:
    """The answers, by the id of a request. Times are ns since 1970 UTC."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._writing = engine.execution_options(**WRITE)

    async def claim(self, id_: str, request: str, claim: str, now: int) -> Answer | Refused | None:
        """Claim a request under the name `claim`: None if it is to be done now; it then has to be kept or released."""
        mine = {"request": request, "claim": claim, "expires": now + CLAIM}
        empty: dict[str, object] = {"status": None, "headers": {}, "body": None}
        try:
            async with transaction(self._writing) as db:
                row = (await db.execute(select(answer).where(answer.c.id == id_).with_for_update())).first()
                if row is None:
                    await db.execute(insert(answer).values(id=id_, **mine, **empty))
                    return None
                if row.expires <= now:
                    await db.execute(update(answer).where(answer.c.id == id_).values(**mine, **empty))
                    return None
        except IntegrityError:  # another replica was faster
            return Refused.RUNNING
        if row.request != request:
            return Refused.ANOTHER
        return Refused.RUNNING if row.status is None else Answer(row.status, row.headers, row.body)

    async def renew(self, id_: str, claim: str, now: int) -> None:
        """Hold a claim for longer."""
        mine = update(answer).where(answer.c.id == id_, answer.c.claim == claim)
        async with transaction(self._writing) as db:
            await db.execute(mine.values(expires=now + CLAIM))

    async def keep(self, id_: str, claim: str, given: Answer, now: int) -> None:
        """Keep what was answered."""
        mine = update(answer).where(answer.c.id == id_, answer.c.claim == claim)
        values = {"status": given.status, "headers": dict(given.headers), "body": given.body, "expires": now + KEPT}
        async with transaction(self._writing) as db:
            await db.execute(mine.values(values))

    async def release(self, id_: str, claim: str) -> None:
        """Give a claim up, so that the request can be done by whoever sends it again."""
        async with transaction(self._writing) as db:
            await db.execute(delete(answer).where(answer.c.id == id_, answer.c.claim == claim))

    async def drop(self, before: int, limit: int) -> int:
        """Delete at most `limit` rows that expired before `before`; returns how many there were."""
        old = select(answer.c.id).where(answer.c.expires < before).order_by(answer.c.expires).limit(limit)
        async with transaction(self._writing) as db:
            return (await db.execute(delete(answer).where(answer.c.id.in_(old)))).rowcount
