"""Routes by which telemetry is deleted."""

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Literal, Self

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel

from contracts.deletions import LATEST, DeletionResult
from contracts.problems import Problem
from contracts.requests import TimeParam, bad
from contracts.times import format_time
from devices_api.telemetry.deletions import Deletions
from devices_api.telemetry.timeseries import TimeSeries
from devices_api.web.access import Admin
from devices_api.web.refusals import unknown_device
from devices_api.web.schemas import Time

if TYPE_CHECKING:
    from devices_api.access import Principal
    from devices_api.repository import Repository

MOST_METRICS = 100

Metrics = Annotated[
    list[Annotated[str, Query(min_length=1, max_length=256)]] | None,
    Query(max_length=MOST_METRICS, description="Which metric; may be given again, for several"),
]
Everything = Annotated[bool, Query(alias="all", description="Delete all of what is not given: metrics, or times")]

_PARAMETERS = ("metric", "start", "end", "all")


class DeletionOut(BaseModel):
    """What has become of a deletion.

    `requested` waits in the stream. `done` has deleted `points`; `kept` windows of a minute, hour or day stay although
    the range cuts them, since what they were made of had expired. `refused` says why in `detail`. `at` is since when
    that is so.
    """

    id: str
    device: str
    state: Literal["requested", "done", "refused"]
    at: Time
    metrics: list[str]
    start: Time
    end: Time
    by: str
    points: int
    kept: int
    detail: str

    @classmethod
    def of(cls, result: DeletionResult) -> Self:
        """Show a result."""
        times = {"at": format_time(result.at), "start": format_time(result.start), "end": format_time(result.end)}
        return cls(
            id=result.id,
            device=result.device,
            state=result.state,
            metrics=result.metrics,
            by=result.by,
            points=result.points,
            kept=result.kept,
            detail=result.detail,
            **times,
        )


def routes(
    registry: "Callable[[], Repository]", timeseries: TimeSeries, deletions: Deletions, now: Callable[[], int]
) -> APIRouter:
    """Build the routes on `deletions`."""
    router = APIRouter(prefix="/devices/{device_id}/telemetry", tags=["telemetry"])

    async def must_see(who: "Principal", device: str) -> None:
        """Answer 404 unless `who` sees the device; without limits, everything that is registered or has data."""
        found = await registry().get(device, who.view, deleted=True) is not None
        if not (found or (who.view is None and await timeseries.has(device))):
            raise unknown_device(device)

    @router.delete("", status_code=HTTPStatus.ACCEPTED)
    async def delete(  # noqa: PLR0913 - a parameter of the query each
        who: Admin,
        device_id: str,
        request: Request,
        response: Response,
        *,
        metric: Metrics = None,
        start: TimeParam | None = None,
        end: TimeParam | None = None,
        everything: Everything = False,
    ) -> DeletionOut:
        """Delete the points with `start` <= ts < `end`, and all that windows and computed metrics have of them.

        It is done in order with the readings: what the device sent before is deleted, what it sends later stays.
        """
        if unknown := set(request.query_params) - {*_PARAMETERS}:
            raise bad("unknown-parameter", f"there is no {min(unknown)!r}; there are {', '.join(_PARAMETERS)}")
        if not everything and (not metric or start is None or end is None):
            raise bad("range-missing", "give metric, start and end; or all=true to delete all of what is left out")
        begin, until = start or 0, LATEST if end is None else end
        if begin >= until:
            raise bad("bad-time", f"start ({format_time(begin)}) has to be before end ({format_time(until)})")
        await must_see(who, device_id)
        about = {"metrics": metric or [], "start": format_time(begin), "end": format_time(until)}
        await registry().audit.note(who, "telemetry.delete", f"device/{device_id}", None, about, now())
        requested = await deletions.request(device_id, metric or [], begin, until, who.name)
        response.headers["Location"] = f"{request.url.path}/deletions/{requested.id}"
        return DeletionOut.of(requested)

    @router.get("/deletions/{id}")
    async def show(
        who: Admin, device_id: str, deletion: Annotated[str, Path(alias="id", pattern="^[A-Za-z0-9_-]{1,64}$")]
    ) -> DeletionOut:
        """Tell what has become of a deletion; for a week."""
        await must_see(who, device_id)
        result = await deletions.result(deletion)
        if result is None or result.device != device_id:
            detail = f"Of device {device_id!r} there is no deletion {deletion!r}, or it was longer ago than a week."
            raise Problem(HTTPStatus.NOT_FOUND, "unknown-deletion", "Unknown deletion", detail)
        return DeletionOut.of(result)

    return router
