"""The whole API: its routes under /api/v1, behind the key; its description at /docs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.middleware.cors import CORSMiddleware

from contracts import description, problems
from contracts import openapi as contracts_openapi
from contracts.requests import storable_address
from devices_api.errors import UnavailableError
from devices_api.keys.keyring import Keyring
from devices_api.keys.keys import RandomBytes
from devices_api.keys.tickets import Tickets
from devices_api.letters.deadletters import DeadLetters
from devices_api.live.hub import Hub
from devices_api.metrics import Metrics
from devices_api.telemetry.deletions import Deletions
from devices_api.telemetry.provenance import Deliveries
from devices_api.telemetry.queries import MOST_ROWS
from devices_api.telemetry.timeseries import TimeSeries
from devices_api.web import (
    accounts,
    audit,
    broker,
    bulk,
    commands,
    credentials,
    deadletters,
    deletions,
    devices,
    erasing,
    exports,
    groups,
    jobs,
    keys,
    latest,
    lists,
    live,
    openapi,
    profiles,
    provenance,
    provisioning,
    queries,
    sweeps,
    telemetry,
    tickets,
    twins,
    versions,
)
from devices_api.web.access import described
from devices_api.web.addressing import Addressing
from devices_api.web.authentication import Authentication
from devices_api.web.idempotency import Idempotency
from devices_api.web.measure import Measure
from devices_api.web.requestids import RequestIds

if TYPE_CHECKING:
    from devices_api.credentials.identity import Identity
    from devices_api.repository import Repository

RETRY_AFTER_S = 2
_ASKING_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "Last-Event-ID", "X-Request-Id")


@dataclass(frozen=True)
class Parts:
    """What the routes stand on.

    `registry` raises UnavailableError until the database is there. `changed` is called after each change that the
    stream server has to be told of; `now` gives ns since 1970 UTC. Without `deletions`, telemetry cannot be deleted;
    without `deliveries`, nobody is told where it came from.
    """

    registry: "Callable[[], Repository]"
    timeseries: TimeSeries
    letters: DeadLetters
    failures: profiles.FailuresOf
    metrics: Metrics
    hub: Hub
    matching_of: live.MatchingOf
    changed: Callable[[], None]
    now: Callable[[], int]
    authenticate: Authentication
    keyring: Keyring
    tickets: Tickets
    random_bytes: RandomBytes
    identity: "Callable[[], Identity]"
    deletions: Deletions | None = None
    query_rows: int = MOST_ROWS
    deliveries: Deliveries | None = None
    broker_key: str = ""
    """What brokers carry; empty: there are no hooks for them."""
    broker_cert_login: bool = False
    origins: Sequence[str] = ()
    job_started: Callable[[], None] = lambda: None
    """Called when there is a job to run."""
    jobs: int = 20
    job_bytes: int = 1 << 29


def build(parts: Parts) -> FastAPI:
    """Build the application."""
    app = FastAPI(
        title="Sensorium devices API",
        version="1",
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
        generate_unique_id_function=openapi.operation_id,
    )
    app.state.authenticate = parts.authenticate
    problems.install(app)
    description.install(app)
    contracts_openapi.install(app, openapi.WORDING)
    app.add_exception_handler(UnavailableError, _unavailable)
    app.add_middleware(
        Idempotency,
        registry=parts.registry,
        random_bytes=parts.random_bytes,
        metrics=parts.metrics,
        now=parts.now,
    )
    app.add_middleware(Measure, metrics=parts.metrics, upload_bytes=parts.job_bytes)
    if parts.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=parts.origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=_ASKING_HEADERS,
            expose_headers=["ETag", "Location", "Retry-After", "Idempotent-Replayed", "X-Request-Id"],
        )
    app.add_middleware(RequestIds, random_bytes=parts.random_bytes)  # the last is the outermost
    api = APIRouter(prefix="/api/v1", dependencies=[Depends(storable_address), Depends(described)])
    addressing = Addressing(parts.registry, parts.timeseries)
    api.include_router(telemetry.routes(addressing, parts.timeseries))
    api.include_router(latest.routes(addressing, parts.timeseries))
    api.include_router(queries.routes(addressing, parts.timeseries, parts.query_rows))
    api.include_router(exports.routes(addressing, parts.timeseries))
    if parts.deliveries is not None:
        api.include_router(provenance.routes(parts.registry, parts.timeseries, parts.deliveries))
    if parts.deletions is not None:
        api.include_router(erasing.routes(parts.registry, parts.timeseries, parts.deletions, parts.now))
    starting = bulk.Starting(parts.registry, parts.job_started, parts.now, parts.jobs)
    api.include_router(bulk.routes(parts.registry, starting))
    api.include_router(jobs.routes(parts.registry, parts.now))
    api.include_router(lists.routes(parts.registry))
    api.include_router(devices.routes(parts.registry, parts.timeseries, parts.changed, parts.now))
    api.include_router(deletions.routes(parts.registry, parts.changed, parts.now))
    api.include_router(twins.routes(parts.registry, parts.changed, parts.now))
    api.include_router(groups.routes(parts.registry, parts.changed, parts.now))
    api.include_router(groups.member_routes(parts.registry, parts.changed, parts.now))
    api.include_router(commands.routes(parts.registry, parts.changed, parts.now))
    api.include_router(profiles.routes(parts.registry, parts.failures, parts.changed, parts.now))
    api.include_router(versions.routes(parts.registry, parts.changed, parts.now))
    api.include_router(audit.routes(parts.registry))
    api.include_router(keys.routes(parts.registry, parts.keyring, parts.random_bytes, parts.now))
    api.include_router(tickets.routes(parts.tickets))
    api.include_router(sweeps.routes(parts.letters))
    api.include_router(deadletters.routes(parts.letters))
    events, sockets = live.routes(parts.hub, parts.matching_of, parts.keyring.holds)
    api.include_router(events)
    api.include_router(credentials.routes(parts.registry, parts.identity, parts.now))
    api.include_router(provisioning.routes(parts.registry, parts.identity, parts.authenticate, parts.now))
    api.include_router(accounts.routes(parts.registry, parts.identity, parts.now))
    app.include_router(api)
    app.include_router(sockets, prefix="/api/v1", dependencies=[Depends(storable_address)])
    if parts.broker_key:
        app.include_router(broker.routes(parts.identity, parts.broker_key, cert_login=parts.broker_cert_login))
    return app


def _unavailable(request: Request, error: Exception) -> JSONResponse:
    """Answer 503, with when to ask again."""
    return problems.answer(
        request.scope,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "unavailable",
        "Something that the answer needs is away",
        f"{error}. Ask again later.",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )
