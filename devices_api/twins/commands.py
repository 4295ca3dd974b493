"""Commands to devices: the states that they go through, and how they and their answers are written. Pure.

queued ─▶ sent ─▶ delivered ─▶ succeeded | failed | timed_out
   └─▶ expired | cancelled
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

import msgspec

from contracts.times import format_time
from devices_api.twins.twin import MOST_BYTES, State, check

MOST_OPEN = 100
"""Commands of a device that have not ended; more are refused."""
MOST_DEVICES = 1000
"""Devices that one request may command."""
LONGEST_ERROR = 1024


class CommandState(StrEnum):
    """How far a command has come."""

    QUEUED = "queued"
    """It waits for the device, or for the broker."""
    SENT = "sent"
    """The broker has it."""
    DELIVERED = "delivered"
    """The device says that it has it."""
    SUCCEEDED = "succeeded"
    """The device says that it has done it; or it was sent, and no answer is awaited."""
    FAILED = "failed"
    """The device says that it could not do it."""
    TIMED_OUT = "timed_out"
    """It was sent, and the device has not told in time what became of it."""
    EXPIRED = "expired"
    """It could not be sent in time."""
    CANCELLED = "cancelled"
    """Somebody has taken it back before it was sent."""


_RANKS = {CommandState.QUEUED: 0, CommandState.SENT: 1, CommandState.DELIVERED: 2}
_LAST = 3
ENDED = frozenset(CommandState) - _RANKS.keys()
_UNSENT = (CommandState.EXPIRED, CommandState.CANCELLED)


def rank(state: CommandState) -> int:
    """Give the number of a state: a command has at most one of each number, and they only grow."""
    return _RANKS.get(state, _LAST)


def steps(state: CommandState, to: CommandState) -> list[CommandState]:
    """List the states that a command goes through from `state` to `to`; none where it cannot.

    A device may answer before it is noted that the command was sent.
    """
    if rank(to) <= rank(state) or (to in _UNSENT and state != CommandState.QUEUED):
        return []
    if state == CommandState.QUEUED and to == CommandState.TIMED_OUT:
        return []
    passed = state == CommandState.QUEUED and to not in (*_UNSENT, CommandState.SENT)
    return [CommandState.SENT, to] if passed else [to]


@dataclass(frozen=True)
class Order:
    """What a device is to do. `ttl`: ns in which it has to be sent; `timeout`: ns from then to the answer."""

    name: str
    params: State
    ttl: int
    timeout: int
    awaited: bool = True


@dataclass(frozen=True)
class Step:
    """A state that a command has come to, when (ns since 1970 UTC) and why, where there is something to say."""

    state: CommandState
    at: int
    reason: str


@dataclass(frozen=True)
class Command:
    """A command. Times are ns since 1970 UTC; it is not sent after `expires`; `changed`: when it came to its state."""

    id: str
    device: str
    name: str
    params: State
    awaited: bool
    timeout: int
    state: CommandState
    created: int
    expires: int
    changed: int
    attempts: int
    result: Any
    error: str | None
    who: str
    history: list[Step] = field(default_factory=list)


@dataclass(frozen=True)
class Answer:
    """What a device says of a command."""

    status: Literal["delivered", "succeeded", "failed"]
    result: Any = None
    error: str | None = None


_STATUSES = ("delivered", "succeeded", "failed")


def new_id(now: int, token: str) -> str:
    """Give an id that sorts by `now`; `token` makes it unlike others of that moment."""
    return f"{now:016x}{token}"


def message(command: Command) -> bytes:
    """Write what a device is sent."""
    content = {"name": command.name, "params": command.params, "expires": format_time(command.expires)}
    return msgspec.json.encode(content | {"response": command.awaited})


def read_answer(payload: bytes) -> Answer:
    """Read a device's answer; an empty one says that it has succeeded. Raises ValueError with what is wrong."""
    if not payload:
        return Answer("succeeded")
    if len(payload) > MOST_BYTES:
        raise ValueError(f"it has {len(payload)} bytes; at most {MOST_BYTES} are kept")
    try:
        told = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"it is no JSON: {error}") from error
    content = check(told)
    status, problem = content.get("status"), content.get("error")
    if status not in _STATUSES:
        raise ValueError(f"status has to be one of {', '.join(_STATUSES)}")
    if problem is not None and not isinstance(problem, str):
        raise ValueError("error has to be text")
    return Answer(status, content.get("result"), None if problem is None else problem[:LONGEST_ERROR])
