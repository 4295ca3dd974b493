"""Routes of jobs: how far they are, what they rejected, and what they have made."""

from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from contracts.problems import Problem
from contracts.requests import Cursor, PageLimit, read
from devices_api.access import Principal, Scope
from devices_api.cursors import number_position, text_position
from devices_api.errors import UnavailableError
from devices_api.jobs.jobs import Job, Kind, State
from devices_api.telemetry.exporting import MEDIA_TYPES, Format
from devices_api.web.access import Reader, Somebody, scope_missing
from devices_api.web.jobschemas import JOBS, REPORT, JobOut, JobPage, ReportPage

if TYPE_CHECKING:
    from devices_api.repository import Repository


def routes(registry: "Callable[[], Repository]", now: Callable[[], int]) -> APIRouter:
    """Build the routes on `registry`."""
    router = APIRouter(prefix="/jobs", tags=["jobs"])
    content: dict[str, dict[str, str]] = {MEDIA_TYPES[of].partition(";")[0]: {} for of in (Format.CSV, Format.JSONL)}

    async def visible(who: Principal, job_id: str) -> Job:
        found = await registry().jobs.get(job_id)
        if found is None or not (found.started_by(who) or who.view is None):
            raise Problem(HTTPStatus.NOT_FOUND, "unknown-job", "Unknown job", f"There is no job {job_id!r}.")
        return found

    @router.get("")
    async def list_jobs(who: Somebody, limit: PageLimit = 100, cursor: Cursor = None) -> JobPage:
        """List jobs, the newest first: of a key that is limited to groups its own."""
        before = None if cursor is None else read("bad-cursor", lambda text: text_position(JOBS, text), cursor)
        return JobPage.of(await registry().jobs.page(who, before, limit + 1), limit)

    @router.get("/{job_id}")
    async def show(who: Somebody, job_id: str) -> JobOut:
        """Show a job, and how far it is."""
        return JobOut.of(await visible(who, job_id))

    @router.delete("/{job_id}")
    async def cancel(who: Somebody, job_id: str) -> JobOut:
        """End a job that has not ended; what it has applied stays. Somebody else's takes the scope admin."""
        found = await visible(who, job_id)
        if not found.started_by(who) and not who.may(Scope.ADMIN):
            raise scope_missing(who, Scope.ADMIN)
        return JobOut.of(await registry().jobs.cancel(job_id, who, now()) or found)

    @router.get("/{job_id}/report")
    async def report(who: Somebody, job_id: str, limit: PageLimit = 100, cursor: Cursor = None) -> ReportPage:
        """List the rows that were rejected, in order, and what was wrong with each."""
        after = 0 if cursor is None else read("bad-cursor", lambda text: number_position(REPORT, text), cursor)
        await visible(who, job_id)
        return ReportPage.of(await registry().jobs.report(job_id, after, limit + 1), limit)

    @router.get(
        "/{job_id}/result", response_class=StreamingResponse, responses={HTTPStatus.OK.value: {"content": content}}
    )
    async def result(who: Reader, job_id: str) -> StreamingResponse:
        """Download what a job has made."""
        found = await visible(who, job_id)
        if found.state is not State.SUCCEEDED or found.kind != Kind.EXPORT_DEVICES:
            detail = f"The job {found.kind} has {found.state}; there is a result when an export has succeeded."
            raise Problem(HTTPStatus.CONFLICT, "no-result", "There is no result", detail)
        size = await registry().jobs.size(job_id, "result")
        format_ = Format(found.params["format"])
        headers = {
            "Content-Disposition": f'attachment; filename="devices.{format_}"',
            "Content-Length": str(size),
        }
        return StreamingResponse(_pieces(registry, job_id), media_type=MEDIA_TYPES[format_], headers=headers)

    return router


async def _pieces(registry: "Callable[[], Repository]", job_id: str) -> AsyncIterator[bytes]:
    """Give a result; it breaks off if the job is deleted meanwhile."""
    number = 0
    while (piece := await registry().jobs.piece(job_id, "result", number)) is not None:
        yield piece
        number += 1
    if await registry().jobs.get(job_id) is None:
        raise UnavailableError("result")
