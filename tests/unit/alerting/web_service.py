"""The HTTP interface of alerting over a database, without a socket, and alerts put there as evaluation would."""

from typing import Any

import httpx
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from alerting import tables
from alerting.alert_repository import AlertRepository
from alerting.database import write
from alerting.notify.configuration import problem_of
from alerting.notify.documents import Documents
from alerting.notify.plan_store import PlanStore
from alerting.rule_repository import RuleRepository
from alerting.web.api import Parts, build
from contracts.devices import DeviceRecord
from tests.shared_app import SharedApp

KEY = "a-key-for-these-tests"
NOW = 1_767_225_600_000_000_000
RULE: dict[str, Any] = {"name": "too hot", "metric": "temperature", "operator": "gt", "value": 30}


class Web:
    """A client of the interface, which counts how often others were told of a change."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine, self.now, self.changes, self.said = engine, NOW, 0, 0
        self.rules, self.alerts = RuleRepository(engine), AlertRepository(engine)
        self.documents = Documents(engine, problem_of)
        self.directory: dict[str, DeviceRecord] = {}
        numbers = iter(range(1, 1_000_000))
        self.parts = Parts(
            rules=self.rules,
            alerts=self.alerts,
            documents=self.documents,
            public_url="https://alerting.example",
            key=KEY,
            now=lambda: self.now,
            new_id=lambda: f"{next(numbers):028x}",
            changed=self._changed,
            said=self._said,
            groups=PlanStore(engine),
            devices=lambda: self.directory,
            record=self.directory.get,
        )
        self.app = SharedApp(self.parts, build)
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://test",
            headers={"Authorization": f"Bearer {KEY}"},
        )

    def _changed(self) -> None:
        self.changes += 1

    def _said(self) -> None:
        self.said += 1

    async def get(self, path: str, **query: Any) -> dict[str, Any]:  # noqa: ANN401 - what httpx takes
        answer = await self.client.get(f"/api/v1/{path}", params=query)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def put_alert(self, alert_id: str, **changes: Any) -> None:  # noqa: ANN401 - columns
        """Write an alert that fires since an hour, with `changes` to its columns."""
        row = {
            "id": alert_id,
            "rule_id": "hot",
            "rule": "too hot",
            "rule_version": 1,
            "device": f"pump-{alert_id}",
            "group_id": "",
            "partition": 0,
            "metric": "temperature",
            "state": "firing",
            "level": 1,
            "severity": "warning",
            "value": 31.5,
            "threshold": 30.0,
            "no_data": False,
            "flapping": False,
            "started_at": NOW - 3600 * 10**9,
            "fired_at": NOW - 3600 * 10**9,
            "labels": {"alertname": "too hot", "severity": "warning"},
            "annotations": {},
            "runbook": "",
        }
        await self.write(sa.insert(tables.alert).values(row | changes))

    async def write(self, statement: sa.Executable) -> None:
        async with write(self.engine) as connection:
            await connection.execute(statement)

    async def rows(self, table: sa.Table) -> list[dict[str, Any]]:
        async with self.engine.connect() as connection:
            return [dict(row) for row in (await connection.execute(sa.select(table))).mappings()]
