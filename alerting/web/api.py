"""The whole API: its routes under /api/v1, behind the key; its description at /docs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError, SQLAlchemyError

from alerting.alert_repository import AlertRepository
from alerting.dryrun.history import History
from alerting.errors import UnavailableError
from alerting.notify.documents import Documents
from alerting.notify.plan_store import PlanStore
from alerting.notify.views import Views
from alerting.rule_repository import RuleRepository
from alerting.web import (
    acts,
    alertmanager,
    alertmanagersilences,
    alerts,
    checks,
    documents,
    dryrun,
    openapi,
    rulefiles,
    rules,
)
from contracts import description, problems
from contracts import openapi as contracts_openapi
from contracts.devices import DeviceRecord
from contracts.requests import storable_address

RETRY_AFTER_S = 1


@dataclass(frozen=True)
class Parts:
    """What the routes stand on.

    `ready` raises UnavailableError until the database is there. `changed` is called after each change of a rule,
    and when an end was asked for; `said` when people are to be told of something. `now` gives ns since 1970 UTC.
    `devices` gives the ids of registered devices, and `record` what is known of one. `history` is what dry runs are
    over, None where there is none; `groups` has the notification groups. `built_in`: there is a receiver without a
    document; `public_url` is where people find this service. `routers` are further routes under /api/v1.
    """

    rules: RuleRepository
    alerts: AlertRepository
    documents: Documents
    key: str
    now: Callable[[], int]
    new_id: Callable[[], str]
    ready: Callable[[], None] = lambda: None
    changed: Callable[[], None] = lambda: None
    said: Callable[[], None] = lambda: None
    devices: Callable[[], Iterable[str]] = tuple
    record: Callable[[str], DeviceRecord | None] = lambda _: None
    history: History | None = None
    groups: PlanStore | None = None
    built_in: bool = False
    public_url: str = ""
    routers: Sequence[APIRouter] = ()


def build(parts: Parts) -> FastAPI:
    """Build the application."""
    app = FastAPI(
        title="Sensorium alerting",
        description="Rules, the alerts they give, and who is told.",
        version="1",
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
        generate_unique_id_function=openapi.operation_id,
    )
    problems.install(app)
    description.install(app)
    contracts_openapi.install(app, openapi.WORDING)
    app.add_middleware(problems.BodyLimit, larger={"/api/v1/rules/import": rulefiles.MOST_BYTES})
    for error in (UnavailableError, SQLAlchemyError, OSError):
        app.add_exception_handler(error, _unavailable)

    async def ready() -> None:
        parts.ready()

    key = Depends(problems.require_key(parts.key))
    dependencies = [key, Depends(storable_address), Depends(ready)]
    views = Views(parts.documents, parts.alerts, built_in=parts.built_in)
    api = APIRouter(prefix="/api/v1", dependencies=dependencies)
    api.include_router(checks.routes(parts.rules, views.calendars, parts.devices, parts.record))
    api.include_router(
        dryrun.routes(parts.rules, views.calendars, parts.devices, parts.record, parts.history, parts.now)
    )
    api.include_router(rulefiles.routes(parts.rules, views.calendars, parts.changed, parts.now))
    for router in parts.routers:  # some have paths that begin as a rule's
        api.include_router(router)
    api.include_router(rules.routes(parts.rules, views.calendars, parts.changed, parts.now, parts.new_id))
    api.include_router(alerts.routes(parts.alerts, views, parts.now))
    api.include_router(documents.routes(parts.documents, views, parts.now, parts.new_id, parts.said))
    if parts.groups is not None:
        api.include_router(documents.group_routes(parts.groups))
    api.include_router(acts.routes(parts.alerts, parts.changed, parts.said, parts.now))
    app.include_router(api)
    app.include_router(
        alertmanager.routes(parts.alerts, views, parts.now(), parts.now, parts.public_url), dependencies=dependencies
    )
    app.include_router(
        alertmanagersilences.routes(parts.documents, views, parts.said, parts.now, parts.new_id),
        dependencies=dependencies,
    )
    return app


def _unavailable(request: Request, error: Exception) -> JSONResponse:
    """Answer 503, with when to ask again; what only a bug can bring about is answered as bugs are."""
    if isinstance(error, DataError | IntegrityError | ProgrammingError):
        detail = "This is a bug in the service; its log has the details."
        return problems.answer(
            request.scope, HTTPStatus.INTERNAL_SERVER_ERROR, "unexpected", "Unexpected error", detail
        )
    return problems.answer(
        request.scope,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "unavailable",
        "Something that the answer needs is away",
        "The service waits for its database; /readyz has the state. Try again.",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )
