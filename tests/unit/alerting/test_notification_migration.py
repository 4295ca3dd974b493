"""Who was to be told of an installation of before, and what nobody had taken yet, is told on."""

import json
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from alerting.metrics import Metrics
from alerting.notify.configuration import configure, problem_of
from alerting.notify.document import Kind
from alerting.notify.documents import Documents
from alerting.notify.plan_store import PlanStore
from alerting.notify.planner import Planner
from alerting.notify.routing import which_routes
from contracts.alerts import read_notification
from contracts.logs import quiet
from tests.unit.alerting.test_alerting_migrations import (
    ALERT,
    FIRING,
    HOOK,
    NOTICE,
    PLAIN,
    RULE,
    T0,
    at,
    insert,
    read,
)

EVENT = (
    '{"schema_version": 1, "id": "a2.firing", "alert_id": "a2", "state": "firing", "rule_id": "r1", "rule": "too hot",'
    ' "severity": "critical", "device": "kiln-2", "metric": "temperature", "value": 31.0, "threshold": 30.0,'
    f' "started_at": {T0}, "changed_at": {T0 + 1}}}'
)
OTHER = "https://other.example/hook"


async def of_before(engine: AsyncEngine) -> None:
    await at(engine, "0002")
    await insert(engine, "rule", RULE, PLAIN, RULE | {"id": "r3", "webhooks": f'["{HOOK}", "{OTHER}"]'})
    others = [FIRING | {"id": "a3", "rule_id": "r2"}, FIRING | {"id": "a4", "rule_id": "r3"}]
    await insert(engine, "alert", ALERT, FIRING, *others)
    await insert(
        engine, "outbox", NOTICE | {"body": EVENT}, NOTICE | {"seq": 9, "body": EVENT, "url": "https://x.example"}
    )


async def resolve_all(engine: AsyncEngine) -> None:
    rows = [{"alert_id": alert_id, "what": "resolved", "created_at": 1} for alert_id in ("a2", "a3", "a4")]
    await insert(engine, "outbox", *rows)
    async with engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE alert SET state = 'resolved', resolved_at = 9 WHERE state = 'firing'")


async def test_webhooks_of_rules_are_receivers_with_routes(empty_engine: AsyncEngine) -> None:
    await of_before(empty_engine)
    await at(empty_engine, "0004")
    documents = Documents(empty_engine, problem_of)
    revision, every = await documents.all()
    assert revision == 1
    urls = {found.id: found.secrets["url"] for found in every if found.kind is Kind.RECEIVER}
    configuration = configure(every, built_in=True)
    assert (problem_of(every), configuration.problems) == (None, ())

    def told(rule_id: str) -> list[str]:
        routes = which_routes(configuration.root, {"rule_id": rule_id})
        return [urls.get(route.receiver or "", "default") for route in routes]

    assert (told("r1"), told("r2"), told("r3")) == ([HOOK], ["default"], [HOOK, OTHER])


@pytest.mark.parametrize("built_in", [True, False])
async def test_who_was_told_of_an_alert_is_told_of_its_end_alone(empty_engine: AsyncEngine, built_in: bool) -> None:  # noqa: FBT001 - both cases
    await of_before(empty_engine)
    await at(empty_engine, "0004")
    documents = Documents(empty_engine, problem_of)
    ids = iter(map(str, range(100)))
    planner = Planner(
        PlanStore(empty_engine),
        documents,
        Metrics(CollectorRegistry()),
        quiet(),
        now=lambda: T0 + 9,
        new_id=lambda: next(ids),
        built_in=built_in,
    )
    await planner.step()
    before = await read(empty_engine, "delivery")
    assert [row["receiver"] for row in before] == ["webhook-2", "webhook-3"]  # what waited, and nothing else
    await resolve_all(empty_engine)
    await planner.step()
    names = {found.id: found.secrets["url"] for found in await documents.page(Kind.RECEIVER, 9)}
    said = [row for row in await read(empty_engine, "delivery") if row not in before]
    told = sorted((content(row)["alerts"][0]["alert_id"], names.get(row["receiver"], "default")) for row in said)
    wanted = [("a2", HOOK), ("a3", "default"), ("a4", OTHER), ("a4", HOOK)]
    assert told == [pair for pair in wanted if built_in or pair[1] != "default"]
    assert await read(empty_engine, "notification_group") == []


def content(row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row["content"]) if isinstance(row["content"], str) else row["content"]
    return found


async def test_what_waited_waits_on_and_one_can_go_back(empty_engine: AsyncEngine) -> None:
    await of_before(empty_engine)
    webhooks = {row["id"]: row["webhooks"] for row in await read(empty_engine, "rule")}
    outbox = await read(empty_engine, "outbox")
    await at(empty_engine, "0004")
    for row in await read(empty_engine, "delivery"):
        said = read_notification(content(row))
        assert (said.status, said.alerts[0].alert_id, row["state"], row["created_at"]) == (
            "firing",
            "a2",
            "waiting",
            T0 + 2,
        )
    await at(empty_engine, "0002", down=True)
    assert {row["id"]: row["webhooks"] for row in await read(empty_engine, "rule")} == webhooks
    again = await read(empty_engine, "outbox")
    assert [(row["url"], row["alert_id"], row["created_at"]) for row in again] == [
        (row["url"], row["alert_id"], row["created_at"]) for row in outbox
    ]
    assert {row["body"] for row in again} == {EVENT}
