"""What operators do to alerts, as changes of their columns. Pure."""

from typing import Any

import msgspec

from alerting.life.alert import State, What

OPEN = (State.PENDING, State.FIRING)


class Act(msgspec.Struct, frozen=True):
    """One thing done by `who`: the columns that it sets, at alerts in one of `states`.

    `told`: people are told of it, and escalation looks at it.
    """

    what: What
    who: str
    note: str
    values: dict[str, Any]
    states: tuple[State, ...] = OPEN
    told: bool = False


def acknowledge(by: str, note: str, until: int | None, level: int, now: int) -> Act:
    """Say that somebody knows of an alert that fires at `level`; it holds until `until`, or a higher level."""
    values = {
        "acknowledged_at": now,
        "acknowledged_by": by,
        "acknowledged_note": note,
        "acknowledged_until": until,
        "acknowledged_level": level,
    }
    return Act(What.ACKNOWLEDGED, by, note, values, (State.FIRING,), told=True)


def unacknowledge(by: str, note: str) -> Act:
    """Take an acknowledgement back."""
    names = ("at", "by", "note", "until", "level")
    return Act(What.UNACKNOWLEDGED, by, note, {f"acknowledged_{name}": None for name in names}, told=True)


def assign(to: str | None, by: str, note: str) -> Act:
    """Make an alert somebody's; None: nobody's."""
    return Act(What.ASSIGNED, by, note, {"assignee": to})


def shelve(by: str, note: str, until: int, now: int) -> Act:
    """Tell nobody of an alert until `until`."""
    values = {"shelved_at": now, "shelved_by": by, "shelved_note": note, "shelved_until": until}
    return Act(What.SHELVED, by, note, values, told=True)


def unshelve(by: str, note: str) -> Act:
    """Take an alert off the shelf."""
    return Act(What.UNSHELVED, by, note, {f"shelved_{name}": None for name in ("at", "by", "note", "until")}, told=True)


def ask_end(by: str, note: str) -> Act:
    """Ask evaluation to resolve an alert."""
    return Act(What.END_ASKED, by, note, {"end_asked_by": by})
