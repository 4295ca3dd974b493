"""Routes that start jobs, and the export of devices that needs none."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from contracts.problems import Problem
from devices_api.access import Principal
from devices_api.errors import TooMuchError
from devices_api.jobs.device_files import TextFormat, begin, lines
from devices_api.jobs.jobs import Job, Kind, LostError, Mode, NewJob
from devices_api.lists.choice import Chosen, Order, Position
from devices_api.telemetry.exporting import MEDIA_TYPES, Format
from devices_api.web.access import Reader, Writer
from devices_api.web.jobschemas import JobOut
from devices_api.web.params import FilterParam

if TYPE_CHECKING:
    from devices_api.repository import Repository

PIECE = 256 << 10
"""Bytes of a piece of a file, or one message of its body more."""
_DEVICES_AT_ONCE = 250
_RETRY_AFTER_S = 30

DryRun = Annotated[bool, Query(description="Tell what would be done, and change nothing")]
FileFormat = Annotated[TextFormat, Query(alias="format")]


def _types(formats: Sequence[Format]) -> list[str]:
    return [MEDIA_TYPES[format_].partition(";")[0] for format_ in formats]


def _body(formats: Sequence[Format]) -> dict[str, Any]:
    file = {"schema": {"type": "string", "format": "binary"}}
    return {"requestBody": {"required": True, "content": dict.fromkeys(_types(formats), file)}}


_TEXTS = (Format.CSV, Format.JSONL)
_WRITTEN: dict[str, dict[str, str]] = {name: {} for name in _types(_TEXTS)}


class Starting:
    """Starts jobs, of which at most `most` have not ended. `started` is called when one can be run."""

    def __init__(
        self, registry: "Callable[[], Repository]", started: Callable[[], None], now: Callable[[], int], most: int
    ) -> None:
        self._registry, self._started, self._now, self._most = registry, started, now, most

    async def begin(self, who: Principal, new: NewJob, response: Response, *, uploading: bool = False) -> Job:
        """Begin a job. Answers 429 if there are too many."""
        try:
            job = await self._registry().jobs.begin(new, who, self._now(), self._most, uploading=uploading)
        except TooMuchError as error:
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too-many-jobs",
                "Too many jobs",
                f"{error}. Ask again later.",
                {"Retry-After": str(_RETRY_AFTER_S)},
            ) from error
        response.headers["Location"] = f"/api/v1/jobs/{job.id}"
        if not uploading:
            self._started()
        return job

    async def receive(self, who: Principal, new: NewJob, request: Request, response: Response) -> JobOut:
        """Begin a job with the request's body, which is kept piece by piece as it comes."""
        job = await self.begin(who, new, response, uploading=True)
        jobs = self._registry().jobs
        try:
            number, piece = 0, bytearray()
            async for data in request.stream():
                piece += data
                if len(piece) >= PIECE:
                    await jobs.append(job.id, number, bytes(piece), self._now())
                    number += 1
                    piece.clear()
            if piece:
                await jobs.append(job.id, number, bytes(piece), self._now())
            job = await jobs.uploaded(job.id)
        except LostError as error:
            detail = "The job was cancelled before its file was there."
            raise Problem(HTTPStatus.CONFLICT, "job-cancelled", "The job was cancelled", detail) from error
        except ClientDisconnect as error:
            await jobs.forget(job.id)
            detail = "The connection ended before the body did."
            raise Problem(HTTPStatus.BAD_REQUEST, "body-broken-off", "The body broke off", detail) from error
        except BaseException:
            await jobs.forget(job.id)
            raise
        self._started()
        return JobOut.of(job)


def routes(registry: "Callable[[], Repository]", starting: Starting) -> APIRouter:
    """Build the routes on `registry`."""
    router = APIRouter()

    @router.post("/jobs/import/devices", status_code=HTTPStatus.ACCEPTED, tags=["jobs"], openapi_extra=_body(_TEXTS))
    async def import_devices(
        who: Writer,
        request: Request,
        response: Response,
        *,
        format_: FileFormat = TextFormat.CSV,
        mode: Mode = Mode.UPSERT,
        dry_run: DryRun = False,
    ) -> JobOut:
        """Import the devices of the file that is the request's body: each row is applied, or reported."""
        new = NewJob(Kind.IMPORT_DEVICES, {"format": format_, "mode": mode}, dry_run)
        return await starting.receive(who, new, request, response)

    @router.post(
        "/jobs/import/telemetry", status_code=HTTPStatus.ACCEPTED, tags=["jobs"], openapi_extra=_body(tuple(Format))
    )
    async def import_telemetry(
        who: Writer,
        request: Request,
        response: Response,
        *,
        format: Format = Format.CSV,  # noqa: A002 - the parameter's name
        dry_run: DryRun = False,
    ) -> JobOut:
        """Import the points of the file that is the request's body, as an export gives them; values as they are."""
        new = NewJob(Kind.IMPORT_TELEMETRY, {"format": format}, dry_run)
        return await starting.receive(who, new, request, response)

    @router.post("/jobs/export/devices", status_code=HTTPStatus.ACCEPTED, tags=["jobs"])
    async def export_devices(
        who: Reader, request: Request, response: Response, _: FilterParam, *, format_: FileFormat = TextFormat.CSV
    ) -> JobOut:
        """Write devices, those of a filter or all that are not deleted, into a file, which is the job's result."""
        params = {"format": format_, "filter": request.query_params.get("filter")}
        return JobOut.of(await starting.begin(who, NewJob(Kind.EXPORT_DEVICES, params), response))

    @router.get(
        "/device-export",
        response_class=StreamingResponse,
        responses={HTTPStatus.OK.value: {"content": _WRITTEN}},
        tags=["devices"],
    )
    async def stream_devices(
        who: Reader, filter_: FilterParam, *, format_: FileFormat = TextFormat.CSV
    ) -> StreamingResponse:
        """Stream devices by id, those of a filter or all that are not deleted, as an import reads them."""
        chunks = _devices(registry, who, Chosen(filter_), format_)
        headers = {"Content-Disposition": f'attachment; filename="devices.{format_}"'}
        return StreamingResponse(chunks, media_type=MEDIA_TYPES[Format(format_)], headers=headers)

    return router


async def _devices(
    registry: "Callable[[], Repository]", who: Principal, chosen: Chosen, format_: TextFormat
) -> AsyncIterator[bytes]:
    after: Position | None = None
    yield begin(format_)
    while True:
        page = await registry().lists.whole_page(who.view, chosen, Order(), after, _DEVICES_AT_ONCE)
        yield await asyncio.to_thread(lines, format_, page.devices)
        if page.end is None:
            return
        after = page.end
