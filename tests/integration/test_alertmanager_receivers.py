"""A real Prometheus Alertmanager as a receiver: alerts are there while they fire, and over when they are."""

import asyncio
import json
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random
from typing import Any, Literal

import httpx
import msgspec
import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry

from alerting.database import connect, migrate, write
from alerting.metrics import Metrics
from alerting.notify.bodies import fingerprint
from alerting.notify.book import Book
from alerting.notify.channels import Channels
from alerting.notify.configuration import problem_of
from alerting.notify.document import Kind
from alerting.notify.documents import Documents
from alerting.notify.outcome import Outcome, Result
from alerting.notify.receivers import AlertmanagerReceiver
from alerting.notify.refreshing import Refresher
from alerting.tables import alert
from alerting.tables_notify import alert_delivery, delivery
from contracts.alerts import Notification
from contracts.logs import quiet
from contracts.times import format_time
from tests.conftest import free_port, need, wait_until
from tests.integration.ways import ALERT, ways

NOW = time.time_ns  # noqa: TID251 - Alertmanager reads the same clock
CONFIG = "route: {receiver: none}\nreceivers: [{name: none}]\nglobal: {resolve_timeout: 1s}\n"


@pytest.fixture(scope="module")
def alertmanager() -> Iterator[str]:
    """Give the URL of an Alertmanager that resolves after a second what it is not told the end of."""
    program = need("prometheus-alertmanager", "prometheus-alertmanager")
    with tempfile.TemporaryDirectory() as directory:
        config, url = Path(directory) / "config.yml", f"http://127.0.0.1:{free_port()}"
        config.write_text(CONFIG)
        process = subprocess.Popen(
            [
                program,
                f"--config.file={config}",
                f"--storage.path={directory}/data",
                f"--web.listen-address={url.removeprefix('http://')}",
                "--cluster.listen-address=",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda: _ready(url), "an Alertmanager")
            yield url
        finally:
            process.kill()
            process.wait()


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", timeout=1).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture
async def channels() -> AsyncIterator[Channels]:
    channels = ways(now=NOW)
    yield channels
    await channels.close()


def told(name: str, **changes: Any) -> Notification:  # noqa: ANN401 - any field of the alert
    now = NOW()
    labels = {"alertname": name, "severity": changes.get("severity", "critical")}
    one = msgspec.structs.replace(ALERT, labels=labels, started_at=now, changed_at=now, **changes)
    reason: Literal["new", "changed"] = "changed" if changes else "new"
    return Notification(
        id="n1", receiver="am", group_key="g", status=one.state, reason=reason, alerts=[one], created_at=now
    )


async def active(url: str, name: str) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{url}/api/v2/alerts", params={"filter": f'alertname="{name}"', "active": "true"})
    found: list[dict[str, Any]] = answer.json()
    return found


def severities(found: list[dict[str, Any]]) -> list[str]:
    return sorted(one["labels"]["severity"] for one in found)


async def test_an_alert_is_there_changes_its_severity_and_is_over(alertmanager: str, channels: Channels) -> None:
    receiver = AlertmanagerReceiver(type="alertmanager", url=alertmanager)
    assert (await channels.send(receiver, told("wet"))).result is Result.DELIVERED
    (one,) = await active(alertmanager, "wet")
    assert one["labels"] == {"alertname": "wet", "severity": "critical"}
    assert one["fingerprint"] == fingerprint(one["labels"])
    shown = await asyncio.to_thread(
        subprocess.run,
        ["amtool", f"--alertmanager.url={alertmanager}", "alert", "query", "alertname=wet", "-o", "json"],
        check=True,
        capture_output=True,
    )
    assert [alert["labels"] for alert in json.loads(shown.stdout)] == [one["labels"]]

    await channels.send(receiver, told("wet", severity="warning"))
    assert severities(await active(alertmanager, "wet")) == ["warning"]
    await channels.send(receiver, told("wet", severity="warning", state="resolved"))
    assert await active(alertmanager, "wet") == []


async def test_what_an_alertmanager_does_not_understand_is_rejected(alertmanager: str, channels: Channels) -> None:
    receiver = AlertmanagerReceiver(type="alertmanager", url=f"{alertmanager}/nowhere")
    assert await channels.send(receiver, told("odd")) == Outcome(Result.MISCONFIGURED, "status 404", 404)


async def test_an_alert_stays_for_as_long_as_it_fires_and_no_longer(
    alertmanager: str, channels: Channels, tmp_path: Path
) -> None:
    engine = connect(f"sqlite+aiosqlite:///{tmp_path}/alerting.sqlite3")
    await migrate(engine)
    documents = Documents(engine, problem_of)
    content = {"type": "alertmanager", "resend_seconds": 1}
    await documents.create(Kind.RECEIVER, "am", content, {"url": alertmanager}, NOW())
    notification = told("dry")
    (fired,) = notification.alerts
    async with write(engine) as connection:
        row: dict[str, Any] = {"id": "n1", "seq": 1, "receiver": "am", "group_key": "g", "state": "delivered"}
        row |= {"content": msgspec.to_builtins(notification), "created_at": NOW()}
        await connection.execute(sa.insert(delivery).values(row))
        await connection.execute(sa.insert(alert_delivery).values(alert_id=fired.alert_id, delivery_id="n1"))
        same = ("rule_id", "rule", "rule_version", "severity", "metric", "labels", "annotations", "runbook")
        row = {name: getattr(fired, name) for name in (*same, "device", "started_at", "no_data", "flapping")}
        row |= {"id": fired.alert_id, "state": "firing", "group_id": "", "partition": 0, "level": 1}
        await connection.execute(sa.insert(alert).values(row))
    refresher = Refresher(engine, Book(documents, ""), channels, Metrics(CollectorRegistry()), NOW)
    task = asyncio.create_task(refresher.run(Random(1), quiet()))
    try:
        ends: set[str] = set()
        async with asyncio.timeout(60):
            while not ends or format_time(NOW()) < min(ends):
                await asyncio.sleep(0.05)
                ends |= {one["endsAt"] for one in await active(alertmanager, "dry")}
            assert severities(await active(alertmanager, "dry")) == [
                "critical"
            ]  # beyond the first end that it was told
            async with write(engine) as connection:
                await connection.execute(sa.update(alert).values(state="resolved"))
            while await active(alertmanager, "dry"):
                await asyncio.sleep(0.05)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await engine.dispose()
