"""What is made to fail in a scenario, in plain words: `kill ingest`, `stop broker`, `freeze processor`, `disk full`."""

from dataclasses import dataclass
from enum import Enum

PROGRAMS = ("broker", "stream", "ingest", "processor", "devices_api", "alerting")
"""What a stack consists of."""


class Kind(Enum):
    """Ways to fail. All but a kill last for a while, and are then undone."""

    KILL = "kill"
    STOP = "stop"
    FREEZE = "freeze"
    DISK = "disk full"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Action:
    """What to do, and to which program of the stack, where it is one."""

    kind: Kind
    program: str = ""


def parse(text: str) -> Action:
    """Read what a failure does. Raises ValueError with what is allowed."""
    words = text.split()
    if words == ["disk", "full"]:
        return Action(Kind.DISK)
    match words:
        case ["kill" | "stop" | "freeze" as verb, program] if program in PROGRAMS:
            return Action(Kind(verb), program)
    raise ValueError(
        f"write kill, stop or freeze and one of {', '.join(PROGRAMS)}, or disk full; for anything else there is command"
    )
