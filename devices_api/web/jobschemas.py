"""What the API answers about jobs. Times are RFC 3339 UTC with nine fraction digits."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, Field

from contracts.times import format_time
from devices_api.cursors import encode_cursor
from devices_api.jobs.jobs import Job, Rejected, State
from devices_api.web.schemas import Next, Time

JOBS = "jobs"
REPORT = "job-report"


class ProgressOut(BaseModel):
    """How far a job is, in rows."""

    done: Annotated[int, Field(description="Rows that have been handled")]
    total: Annotated[int | None, Field(description="null until they have been counted")]


class JobOut(BaseModel):
    """A job: work that takes longer than a request."""

    id: str
    kind: Annotated[str, Field(examples=["import-devices"])]
    state: State
    params: dict[str, Any]
    dry_run: Annotated[bool, Field(description="It only tells what would be done")]
    progress: ProgressOut
    applied: Annotated[int, Field(description="Rows that were applied, also where they changed nothing")]
    rejected: Annotated[int, Field(description="Rows that were not; the report has what was wrong with them")]
    created: Time
    started: Time | None
    finished: Time | None
    by: Annotated[str, Field(description="Who asked for it")]
    error: Annotated[str | None, Field(description="Why it has failed, if it has")]

    @classmethod
    def of(cls, job: Job) -> Self:
        """Show a job."""
        times = {
            name: None if (time := getattr(job, name)) is None else format_time(time)
            for name in ("created", "started", "finished")
        }
        more = {"by": job.who, "progress": ProgressOut(done=job.done, total=job.total), "error": job.error or None}
        return cls(**vars(job) | times | more)


class JobPage(BaseModel):
    """Jobs, newest first."""

    items: list[JobOut]
    next: Next

    @classmethod
    def of(cls, jobs: list[Job], limit: int) -> Self:
        """Show the first `limit` of the jobs that were found."""
        following = encode_cursor(JOBS, jobs[limit - 1].id) if len(jobs) > limit else None
        return cls(items=[JobOut.of(job) for job in jobs[:limit]], next=following)


class RejectedOut(BaseModel):
    """A row that was not applied."""

    row: Annotated[int, Field(description="Its number in the file, from 1; a header and empty lines are not counted")]
    device: Annotated[str | None, Field(description="The device that it is about, where that could be read")]
    problem: str


class ReportPage(BaseModel):
    """Rejected rows in the order of the file: of a job the first 10,000."""

    items: list[RejectedOut]
    next: Next

    @classmethod
    def of(cls, rows: list[Rejected], limit: int) -> Self:
        """Show the first `limit` of the rows that were found."""
        following = encode_cursor(REPORT, rows[limit - 1].number) if len(rows) > limit else None
        items = [RejectedOut(row=row.number, device=row.subject or None, problem=row.problem) for row in rows[:limit]]
        return cls(items=items, next=following)
