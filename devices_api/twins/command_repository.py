"""Commands in the registry database. Each method is one transaction, and a command and its history are one.

Every method raises UnavailableError if the database cannot be reached now. `due` is when a command has to be looked at
again: it is the timer of sending, of expiry and of answers, and goes on after restarts. Replicas take what is due in
hand, each for `LEASE_NS`.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from contracts.presence import Presence
from devices_api.access import Principal, View
from devices_api.audit import audit, audit_all
from devices_api.database import WRITE, transaction
from devices_api.errors import TooMuchError
from devices_api.lists.filter_sql import condition
from devices_api.lists.filters import Filter
from devices_api.registry.visible import live, seen
from devices_api.tables import device, presence
from devices_api.tables_twins import command, command_step
from devices_api.twins.commands import (
    ENDED,
    MOST_DEVICES,
    MOST_OPEN,
    Answer,
    Command,
    CommandState,
    Order,
    Step,
    new_id,
    rank,
    steps,
)

LEASE_NS = 30_000_000_000
"""How long a replica has a command in hand before another takes it to have died, and sends it again."""

_COLUMNS = tuple(column for column in command.c if column.name not in ("due", "lease"))
_ANSWERABLE = (CommandState.SENT, CommandState.DELIVERED)


class BusyError(Exception):
    """A command cannot be cancelled any more: it has been sent, or is being sent now. The message is its state."""


class UnknownCommandError(Exception):
    """A device has answered a command that it was not given."""


@dataclass(frozen=True)
class Wanted:
    """Which commands are asked for: what is None selects nothing."""

    device: str | None = None
    name: str | None = None
    state: CommandState | None = None


@dataclass(frozen=True)
class Heard:
    """A device's answer to a command, and when it came, in ns since 1970 UTC."""

    device: str
    command: str
    answer: Answer
    at: int


class Commands:
    """Reads and changes them."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**WRITE)

    async def send(self, id_: str, order: Order, by: Principal, now: int) -> Command | None:
        """Queue a command; None if there is no such device. Raises TooMuchError if too many of its own are open."""
        async with transaction(self._writing) as db:
            made, full = await _queue(db, device.c.id == id_, order, by, now)
        if full:
            raise TooMuchError(f"{MOST_OPEN} commands of this device have not ended yet")
        return made[0] if made else None

    async def send_all(self, filter_: Filter, order: Order, by: Principal, now: int) -> tuple[list[Command], list[str]]:
        """Queue a command for each device that `filter_` takes; returns them, and the devices with too many open.

        Raises TooMuchError if it takes more than `MOST_DEVICES`.
        """
        async with transaction(self._writing) as db:
            return await _queue(db, condition(filter_, by.view, db.dialect.name), order, by, now)

    async def get(self, id_: str, view: View = None) -> Command | None:
        """Return a command with its history; None if there is none of a device that `view` shows."""
        async with transaction(self._engine) as db:
            row = (await db.execute(_commands(view).where(command.c.id == id_))).first()
            if row is None:
                return None
            history = select(command_step).where(command_step.c.command == id_).order_by(command_step.c.number)
            found = [Step(CommandState(step.state), step.at, step.reason) for step in await db.execute(history)]
            return _command(row, found)

    async def page(self, wanted: Wanted, before: str | None, limit: int, view: View) -> list[Command] | None:
        """Return the newest `limit` commands that are wanted and older than `before`, without their histories.

        None if a device is asked for that there is not.
        """
        query = _commands(view).order_by(command.c.id.desc()).limit(limit)
        values = {"device": wanted.device, "name": wanted.name, "state": wanted.state}
        query = query.where(*(command.c[name] == value for name, value in values.items() if value is not None))
        if before is not None:
            query = query.where(command.c.id < before)
        async with transaction(self._engine) as db:
            if wanted.device is not None:
                known = select(device.c.id).where(device.c.id == wanted.device, seen(view), live())
                if await db.scalar(known) is None:
                    return None
            return [_command(row) for row in await db.execute(query)]

    async def cancel(self, id_: str, by: Principal, now: int) -> Command | None:
        """Take a command back that is still queued; None if there is none. Raises BusyError if it is not queued."""
        async with transaction(self._writing) as db:
            query = _commands(by.view).add_columns(command.c.lease).where(command.c.id == id_)
            row = (await db.execute(query.with_for_update(of=command))).first()
            if row is None:
                return None
            if row.state != CommandState.QUEUED or row.lease > now:
                raise BusyError("being sent" if row.state == CommandState.QUEUED else row.state)
            await _advance(db, row, CommandState.CANCELLED, now, f"by {by.name}"[:256])
            await audit(db, by, "command.cancel", f"command/{id_}", {"state": row.state}, {"state": "cancelled"}, now)
        return await self.get(id_, by.view)

    async def end_overdue(self, now: int, limit: int) -> list[CommandState]:
        """End commands whose time is over; returns the states that they have come to."""
        over = or_(
            command.c.state.in_(_ANSWERABLE),
            (command.c.state == CommandState.QUEUED) & (command.c.expires <= now),
        )
        query = select(command).where(command.c.due <= now, over).order_by(command.c.due).limit(limit)
        if not await self._any(query):
            return []
        ended = []
        async with transaction(self._writing) as db:
            for row in (await db.execute(query.with_for_update(skip_locked=True))).all():
                unsent = row.state == CommandState.QUEUED
                state = CommandState.EXPIRED if unsent else CommandState.TIMED_OUT
                reason = "it could not be sent in time" if unsent else "no answer in time"
                await _advance(db, row, state, now, reason)
                ended.append(state)
        return ended

    async def take_due(self, now: int, limit: int) -> list[Command]:
        """Take in hand commands that are to be sent now, in their order; nobody else gets them for `LEASE_NS`.

        Those of devices that are known to be offline wait until they are online.
        """
        waiting = (command.c.state == CommandState.QUEUED) & (command.c.due <= now) & (command.c.expires > now)
        query = select(*_COLUMNS).where(waiting).order_by(command.c.due, command.c.id).limit(limit)
        if not await self._any(query):
            return []
        async with transaction(self._writing) as db:
            rows = (await db.execute(query.with_for_update(skip_locked=True))).all()
            # The rows are locked, and those of presence kept from changing: a device that comes online from here on
            # sets `due` after this. One that is just changing counts as online: it may have set `due` before this.
            among = presence.c.device.in_({row.device for row in rows}) & presence.c.online.is_(False)
            found = select(presence.c.device).where(among).with_for_update(read=True, skip_locked=True)
            offline = (await db.scalars(found)).all()
            gone = select(device.c.id).where(device.c.deleted.is_not(None))
            held = command.c.id.in_([row.id for row in rows])
            absent = or_(command.c.device.in_(offline), command.c.device.in_(gone))
            await db.execute(update(command).where(held, absent).values(due=command.c.expires))
            in_hand = {"due": now + LEASE_NS, "lease": now + LEASE_NS, "attempts": command.c.attempts + 1}
            taken = update(command).where(held, command.c.due <= now).values(in_hand).returning(command.c.id)
            ids = set(await db.scalars(taken))
        return sorted((_command(row) for row in rows if row.id in ids), key=lambda found: found.id)

    async def sent(self, done: Sequence[str], failed: Sequence[str], now: int) -> None:
        """Note which commands the broker has, and give back those that it has not."""
        async with transaction(self._writing) as db:
            for row in await _locked(db, done):
                await _advance(db, row, CommandState.SENT, now, "")
            again = update(command).where(command.c.id.in_(failed), command.c.state == CommandState.QUEUED)
            await db.execute(again.values(due=now, lease=0))

    async def take_answers(self, answers: Sequence[Heard]) -> list[CommandState]:
        """Take what devices answer, in any order; what comes after the end of a command is left alone.

        Returns the states that commands have come to. Raises UnknownCommandError, and has taken none of them then.
        """
        reached = []
        async with transaction(self._writing) as db:
            for heard in sorted(answers, key=lambda heard: heard.command):
                rows = await _locked(db, [heard.command])
                if not rows or rows[0].device != heard.device:
                    raise UnknownCommandError(heard.command)
                state = CommandState(heard.answer.status)
                values = {"result": heard.answer.result, "error": heard.answer.error} if state in ENDED else {}
                if await _advance(db, rows[0], state, heard.at, heard.answer.error or "", values):
                    reached.append(state)
        return reached

    async def drop(self, before: int, limit: int) -> int:
        """Delete `limit` commands that ended before `before`, with their histories; returns how many there were."""
        old = select(command.c.id).where(command.c.due.is_(None), command.c.id < new_id(before, ""))
        old = old.where(command.c.changed < before).order_by(command.c.id).limit(limit)
        async with transaction(self._writing) as db:
            return (await db.execute(delete(command).where(command.c.id.in_(old)))).rowcount

    async def _any(self, query: Any) -> bool:  # noqa: ANN401 - any select
        """Look without locking whether there is something to do: mostly there is not."""
        async with transaction(self._engine) as db:
            return (await db.execute(query.limit(1))).first() is not None


async def came_online(db: AsyncConnection, messages: Iterable[Presence], now: int) -> None:
    """Have the queued commands of devices that came online sent, in the caller's transaction."""
    ids = {message.device for message in messages if message.state == "online"}
    if ids:
        waiting = (command.c.state == CommandState.QUEUED) & command.c.device.in_(ids) & (command.c.lease <= now)
        await db.execute(update(command).where(waiting, command.c.due > now).values(due=now))


def _commands(view: View) -> Any:  # noqa: ANN401 - a select of many columns
    return select(*_COLUMNS).join(device, device.c.id == command.c.device).where(seen(view), live())


def _command(row: Row[Any], history: list[Step] | None = None) -> Command:
    values = {name: row._mapping[name] for name in _NAMES}  # noqa: SLF001 - the documented way to a row's names
    return Command(**values | {"state": CommandState(row.state)}, history=history or [])


_NAMES = [column.name for column in _COLUMNS]


async def _locked(db: AsyncConnection, ids: Sequence[str]) -> Sequence[Row[Any]]:
    return (
        await db.execute(select(command).where(command.c.id.in_(ids)).order_by(command.c.id).with_for_update())
    ).all()


async def _queue(
    db: AsyncConnection, which: ColumnElement[bool], order: Order, by: Principal, now: int
) -> tuple[list[Command], list[str]]:
    """Queue a command for each device; returns them, and the devices that have too many already."""
    found = select(device.c.id).where(which, seen(by.view), live()).order_by(device.c.id).limit(MOST_DEVICES + 1)
    ids = (await db.scalars(found.with_for_update(of=device))).all()
    if len(ids) > MOST_DEVICES:
        raise TooMuchError(f"the filter takes more than {MOST_DEVICES} devices")
    counted = select(command.c.device, func.count()).where(command.c.device.in_(ids), command.c.due.is_not(None))
    open_ = {row[0]: row[1] for row in await db.execute(counted.group_by(command.c.device))}
    # They are kept from changing: whoever comes online now sees the command, or is seen to be online.
    told = select(presence.c.device, presence.c.online).where(presence.c.device.in_(ids)).order_by(presence.c.device)
    offline = {row.device for row in await db.execute(told.with_for_update(read=True)) if not row.online}
    rows = [
        {
            "id": new_id(now, secrets.token_hex(6)),
            "device": id_,
            "name": order.name,
            "params": order.params,
            "awaited": order.awaited,
            "timeout": order.timeout,
            "state": CommandState.QUEUED,
            "created": now,
            "expires": now + order.ttl,
            "changed": now,
            "due": now + order.ttl if id_ in offline else now,
            "lease": 0,
            "attempts": 0,
            "result": None,
            "error": None,
            "who": by.name,
        }
        for id_ in ids
        if open_.get(id_, 0) < MOST_OPEN
    ]
    if rows:
        await db.execute(insert(command), rows)
        first = {"number": 0, "state": CommandState.QUEUED, "at": now}
        reasons = {id_: "the device is offline" if id_ in offline else "" for id_ in ids}
        history = [first | {"command": row["id"], "reason": reasons[str(row["device"])]} for row in rows]
        await db.execute(insert(command_step), history)
        noted = [(f"command/{row['id']}", None, {n: row[n] for n in ("device", "name", "params")}) for row in rows]
        await audit_all(db, by, "command.send", noted, now)
    made = [Command(**{n: row[n] for n in _NAMES}) for row in rows]
    return made, [id_ for id_ in ids if open_.get(id_, 0) >= MOST_OPEN]


async def _advance(
    db: AsyncConnection,
    row: Row[Any],
    to: CommandState,
    now: int,
    reason: str,
    values: dict[str, object] | None = None,
) -> bool:
    """Bring a command to a state, and note it; False if it cannot come there any more. Its row is locked."""
    passed = [(state, reason if state == to else "") for state in steps(CommandState(row.state), to)]
    if not passed:
        return False
    if to == CommandState.SENT and not row.awaited:
        passed.append((CommandState.SUCCEEDED, "no answer is awaited"))
    state = passed[-1][0]
    was_sent = row.state == CommandState.QUEUED and state not in ENDED
    due = None if state in ENDED else now + row.timeout if was_sent else row.due
    changed = {"state": state, "changed": now, "due": due, "lease": 0} | (values or {})
    await db.execute(update(command).where(command.c.id == row.id).values(changed))
    history = [
        {"command": row.id, "number": rank(state), "state": state, "at": now, "reason": why[:1024]}
        for state, why in passed
    ]
    await db.execute(insert(command_step), history)
    return True
