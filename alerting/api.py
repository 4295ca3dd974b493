"""The HTTP interface: rules to be changed, alerts to be read."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError

from alerting.alarms import Alarms, NotLoadedError
from alerting.repository import Repository
from alerting.schemas import AlertOut, AlertPage, RuleIn, RuleOut, RulePage
from contracts import description
from contracts.problems import MEDIA_TYPE, BodyLimit, Problem, install, require_key

MAX_RULES = 1000

Limit = Annotated[int, Query(ge=1, le=1000, description="Most items in the answer")]
Cursor = Annotated[str | None, Query(pattern="^[0-9a-f]{28}$", description="`next` of the page before")]


def build(
    alarms: Alarms, repository: Repository, key: str, now: Callable[[], int], new_id: Callable[[], str]
) -> FastAPI:
    """Build the application; every request below /api/v1 needs `key`."""
    app = FastAPI(
        title="Sensorium alerting", description="Rules, and the alerts they give.", version="1", docs_url=None
    )
    install(app)
    description.install(app)
    app.add_middleware(BodyLimit)
    app.add_exception_handler(NotLoadedError, _unavailable)
    app.add_exception_handler(SQLAlchemyError, _unavailable)
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(require_key(key)), Depends(alarms.need)])
    _add_rules(router, alarms, repository, now, new_id)
    _add_alerts(router, repository)
    app.include_router(router)
    return app


def _add_rules(
    router: APIRouter, alarms: Alarms, repository: Repository, now: Callable[[], int], new_id: Callable[[], str]
) -> None:
    @router.post("/rules", status_code=HTTPStatus.CREATED, tags=["rules"])
    async def create_rule(body: RuleIn, response: Response) -> RuleOut:
        if alarms.rule_count >= MAX_RULES:
            detail = f"There are {MAX_RULES} rules already; delete one first."
            raise Problem(HTTPStatus.CONFLICT, "too-many-rules", "Too many rules", detail)
        rule = body.rule(new_id(), now())
        await alarms.add_rule(rule)
        response.headers["Location"] = f"/api/v1/rules/{rule.id}"
        return RuleOut.of(rule)

    @router.get("/rules", tags=["rules"])
    async def list_rules(limit: Limit = 100, cursor: Cursor = None) -> RulePage:
        found = await repository.rules(limit + 1, cursor or "")
        page = found[:limit]
        return RulePage(items=[RuleOut.of(rule) for rule in page], next=page[-1].id if len(found) > limit else None)

    @router.get("/rules/{rule_id}", tags=["rules"])
    async def read_rule(rule_id: str) -> RuleOut:
        rule = alarms.rule(rule_id)
        if rule is None:
            raise _no_rule(rule_id)
        return RuleOut.of(rule)

    @router.put("/rules/{rule_id}", tags=["rules"])
    async def replace_rule(rule_id: str, body: RuleIn) -> RuleOut:
        rule = await alarms.replace_rule(body.rule(rule_id, now()))
        if rule is None:
            raise _no_rule(rule_id)
        return RuleOut.of(rule)

    @router.delete("/rules/{rule_id}", status_code=HTTPStatus.NO_CONTENT, tags=["rules"])
    async def delete_rule(rule_id: str) -> None:
        if not await alarms.delete_rule(rule_id):
            raise _no_rule(rule_id)


def _add_alerts(router: APIRouter, repository: Repository) -> None:
    @router.get("/alerts", tags=["alerts"])
    async def list_alerts(
        state: Literal["pending", "firing", "resolved"] | None = None,
        rule: Annotated[str | None, Query(description="Id of a rule, which may be deleted by now")] = None,
        device: str | None = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> AlertPage:
        found = await repository.alerts(limit + 1, cursor or "", state=state, rule_id=rule, device=device)
        page = found[:limit]
        return AlertPage(items=[AlertOut.of(alert) for alert in page], next=page[-1].id if len(found) > limit else None)

    @router.get("/alerts/{alert_id}", tags=["alerts"])
    async def read_alert(alert_id: str) -> AlertOut:
        found = await repository.alerts(1, id=alert_id)
        if not found:
            detail = f"There is no alert {alert_id!r}; one that was pending and never fired is not kept."
            raise Problem(HTTPStatus.NOT_FOUND, "no-such-alert", "No such alert", detail)
        return AlertOut.of(found[0])


def _no_rule(rule_id: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "no-such-rule", "No such rule", f"There is no rule {rule_id!r}.")


async def _unavailable(_: Request, __: Exception) -> JSONResponse:
    body = {
        "type": "urn:sensorium:problem:unavailable",
        "title": "Not available now",
        "status": HTTPStatus.SERVICE_UNAVAILABLE.value,
        "detail": "The service waits for its database; /readyz has the state. Try again.",
    }
    return JSONResponse(body, status_code=503, media_type=MEDIA_TYPE, headers={"Retry-After": "1"})
