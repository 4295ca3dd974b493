"""Jobs: work that takes longer than a request, done step by step by one replica at a time. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from devices_api.access import Principal


class State(StrEnum):
    """How far a job is."""

    UPLOADING = "uploading"
    """Its file is being received."""
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    """All rows were handled; some may have been rejected."""
    FAILED = "failed"
    """It was given up; what was applied until then stays."""
    CANCELLED = "cancelled"


OPEN = (State.UPLOADING, State.QUEUED, State.RUNNING)
"""States of jobs that have not ended."""

MOST_REPORTED = 10_000
"""Rejected rows of a job of which is kept what was wrong with them."""
LONGEST_PROBLEM = 1024
LONGEST_SUBJECT = 256


class Kind(StrEnum):
    """What a job does."""

    IMPORT_DEVICES = "import-devices"
    EXPORT_DEVICES = "export-devices"
    IMPORT_TELEMETRY = "import-telemetry"


class Mode(StrEnum):
    """What rows may do."""

    CREATE = "create"
    """Register devices that there are not."""
    UPDATE = "update"
    """Change devices that there are: what a row does not say stays."""
    UPSERT = "upsert"
    """Either."""


class LostError(Exception):
    """The job is not in our hands any more: it was cancelled, or another replica has taken it."""


class BadFileError(Exception):
    """A file cannot be read any further; the message says why."""


class Rejected(NamedTuple):
    """A row that was not applied. `number` counts the file's rows from 1; `subject` is its device, if it says one."""

    number: int
    subject: str
    problem: str


@dataclass(frozen=True)
class Job:
    """A job. Times in ns since 1970 UTC; `total` is None until the rows are counted.

    `done` rows are handled: `applied` were applied, `rejected` were not, and others had nothing to say. `position` is
    where it goes on, as its kind has it.
    """

    id: str
    kind: str
    state: State
    params: dict[str, Any]
    dry_run: bool
    done: int
    total: int | None
    applied: int
    rejected: int
    created: int
    started: int | None
    finished: int | None
    who: str
    key: str
    groups: list[str] | None
    request: str
    claimed_by: str
    claimed_until: int
    attempts: int
    position: dict[str, Any]
    error: str

    @property
    def by(self) -> Principal:
        """Who asked for it, as they were then; with no scopes, for those were checked then."""
        view = None if self.groups is None else frozenset(self.groups)
        return Principal(self.who, frozenset(), view, self.request, self.key)

    def started_by(self, who: Principal) -> bool:
        """Whether `who` asked for it, and still sees all that it is about."""
        view = self.by.view
        sees = who.view is None or (view is not None and view <= who.view)
        return sees and (self.who, self.key) == (who.name, who.key)


@dataclass(frozen=True)
class NewJob:
    """A job to begin."""

    kind: str
    params: dict[str, Any]
    dry_run: bool = False


class Step(NamedTuple):
    """What a step has come to: `rows` more are handled, and the next one begins at `position`.

    `output` is added to the job's result. The step that has `ended` is the last.
    """

    position: dict[str, Any]
    rows: int = 0
    applied: int = 0
    rejected: Sequence[Rejected] = ()
    total: int | None = None
    output: bytes = b""
    ended: bool = False


def printable(text: str, longest: int) -> str:
    """Make of any text one that every database keeps, and no longer than `longest` characters."""
    clean = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    return clean if len(clean) <= longest else f"{clean[: longest - 1]}…"
