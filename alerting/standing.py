"""An alert with what operators have added to it."""

import msgspec
import sqlalchemy as sa

from alerting.life.alert import Alert, Ending, State, Subject


class Acknowledgement(msgspec.Struct, frozen=True):
    """Somebody knows of it: `by` whom, until when (None: until it ends), and at which level it stood then. ns."""

    at: int
    by: str
    note: str
    until: int | None
    level: int


class Shelving(msgspec.Struct, frozen=True):
    """Nobody is told of it until `until`, in ns since 1970 UTC."""

    at: int
    by: str
    note: str
    until: int


class Standing(msgspec.Struct, frozen=True):
    """An alert as it stands, and what operators have added: each of their changes raises `revision`.

    `end_asked_by` has asked for its end; evaluation, which alone ends alerts, does that soon.
    """

    alert: Alert
    revision: int = 0
    acknowledgement: Acknowledgement | None = None
    assignee: str | None = None
    shelving: Shelving | None = None
    end_asked_by: str | None = None

    def acknowledged(self, now: int) -> bool:
        """Whether somebody knows of it as it is `now`: an acknowledgement ends with its time, and when it escalates."""
        given = self.acknowledgement
        return given is not None and self.alert.level <= given.level and (given.until is None or now < given.until)

    def shelved(self, now: int) -> bool:
        """Whether it is shelved `now`."""
        return self.shelving is not None and now < self.shelving.until

    @property
    def open(self) -> bool:
        """Whether it is pending or firing."""
        return self.alert.state in (State.PENDING, State.FIRING)


_PLAIN = (
    "id",
    "rule_id",
    "rule",
    "rule_version",
    "metric",
    "level",
    "severity",
    "started_at",
    "value",
    "threshold",
    "no_data",
    "flapping",
    "fired_at",
    "resolved_at",
    "labels",
    "annotations",
    "runbook",
)


def alert_of(row: sa.RowMapping) -> Alert:
    """Read an alert from the columns of table `alert`."""
    return Alert(
        subject=Subject(row["device"], row["group_id"]),
        state=State(row["state"]),
        reason=None if row["reason"] is None else Ending(row["reason"]),
        **{name: row[name] for name in _PLAIN},
    )


def standing_of(row: sa.RowMapping) -> Standing:
    """Read a row of table `alert`."""
    acknowledgement = shelving = None
    if row["acknowledged_at"] is not None:
        acknowledgement = Acknowledgement(
            row["acknowledged_at"],
            row["acknowledged_by"] or "",
            row["acknowledged_note"] or "",
            row["acknowledged_until"],
            row["acknowledged_level"] or 0,
        )
    if row["shelved_at"] is not None:
        shelving = Shelving(
            row["shelved_at"], row["shelved_by"] or "", row["shelved_note"] or "", row["shelved_until"] or 0
        )
    return Standing(alert_of(row), row["revision"], acknowledgement, row["assignee"], shelving, row["end_asked_by"])
