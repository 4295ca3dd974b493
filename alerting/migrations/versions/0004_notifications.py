"""Receivers, routes, notification groups and deliveries.

Of an installation of before, each webhook that a rule named becomes a receiver, with routes to it by the rules' ids;
what no receiver had taken yet becomes deliveries; and alerts that fire are in groups that know who was told of them, so
that these are told of their end and not again of their beginning. Everything else goes to the receiver `default`, which
is the URL that the service is started with.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_DEFAULT = "default"
_MOST_PATTERN = 4000  # characters of a matcher's value

_EVENT = (
    "id", "alert_id", "state", "rule_id", "rule", "severity", "device", "metric", "value", "threshold", "started_at",
    "changed_at",
)  # fmt: skip
"""Fields of what the earlier version tells."""

_document = sa.table(
    "document",
    *(sa.column(name) for name in ("kind", "id", "version", "created_at", "updated_at")),
    sa.column("content", sa.JSON),
    sa.column("secrets", sa.JSON),
)
_delivery = sa.table(
    "delivery",
    *(sa.column(name) for name in ("id", "seq", "receiver", "group_key", "state", "created_at")),
    sa.column("content", sa.JSON),
)
_group = sa.table("notification_group", sa.column("key"), sa.column("state", sa.JSON), sa.column("due_at"))
_old_webhook = sa.table("old_webhook", sa.column("rule_id"), sa.column("urls", sa.JSON))
_old_outbox = sa.table("old_outbox", *(sa.column(name) for name in ("seq", "alert_id", "url", "body", "created_at")))
_alert = sa.table("alert", *(sa.column(name) for name in ("id", "rule_id", "state")))


def upgrade() -> None:
    _create()
    bind = op.get_bind()
    urls = {row.rule_id: list(dict.fromkeys(row.urls)) for row in bind.execute(sa.select(_old_webhook))}
    waiting = bind.execute(sa.select(_old_outbox).order_by(_old_outbox.c.seq)).all()
    named = sorted({url for some in urls.values() for url in some})
    receivers = {url: f"webhook-{number}" for number, url in enumerate(named, 1)}
    for row in waiting:
        # Of the default URL, which is not in the database, or of a rule that has gone: it is still told there.
        receivers.setdefault(row.url, f"webhook-{len(receivers) + 1}")
    documents = [_document_row("receiver", name, {"type": "webhook"}, {"url": url}) for url, name in receivers.items()]
    told = {rule_id: [receivers[url] for url in some] for rule_id, some in urls.items()}
    if told:
        documents.append(_document_row("routing", "routing", _routing(told), {}))
    if documents:
        op.bulk_insert(_document, documents)
        op.execute(sa.text("UPDATE revision SET value = value + 1 WHERE name = 'routing'"))
    deliveries = [
        {
            "id": f"old-{row.seq}",
            "seq": row.seq,
            "receiver": receivers[row.url],
            "group_key": row.alert_id,
            "state": "waiting",
            "content": _notification(row, receivers[row.url]),
            "created_at": row.created_at,
        }
        for row in waiting
    ]
    op.bulk_insert(_delivery, deliveries)
    firing = bind.execute(sa.select(_alert.c.id, _alert.c.rule_id).where(_alert.c.state == "firing")).all()
    groups = [
        {
            "key": row.id,
            "state": {
                "route": "",
                "labels": {},
                "born": 0,
                "members": {row.id: {"told": dict.fromkeys(told.get(row.rule_id, [_DEFAULT]), 1)}},
            },
            "due_at": None,
        }
        for row in firing
    ]
    op.bulk_insert(_group, groups)
    for table in ("old_webhook", "old_outbox"):
        op.drop_table(table)


def downgrade() -> None:
    """Give back the webhooks of rules as far as routes are still as they were made, and what waits for webhooks."""
    op.create_table(
        "old_webhook",
        sa.Column("rule_id", sa.String(64), primary_key=True),
        sa.Column("urls", sa.JSON, nullable=False),
    )
    op.create_table(
        "old_outbox",
        sa.Column("seq", _SEQ, primary_key=True, autoincrement=True),
        sa.Column("alert_id", sa.String(64), nullable=False),
        sa.Column("url", sa.String(2000), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("outbox_url", "old_outbox", ["url", "seq"])
    bind = op.get_bind()
    documents = bind.execute(sa.select(_document)).all()
    urls = {row.id: row.secrets["url"] for row in documents if row.content.get("type") == "webhook"}
    routing = [row.content for row in documents if row.kind == "routing"]
    by_rule: dict[str, list[str]] = {}
    for route in routing[0]["route"].get("routes", []) if routing else []:
        for rule_id in _rules(route.get("matchers", [])):
            if route.get("receiver") in urls:
                by_rule.setdefault(rule_id, []).append(urls[route["receiver"]])
    op.bulk_insert(_old_webhook, [{"rule_id": rule_id, "urls": some} for rule_id, some in by_rule.items()])
    waiting = bind.execute(sa.select(_delivery).where(_delivery.c.state == "waiting").order_by(_delivery.c.seq))
    rows = [
        {"alert_id": event["alert_id"], "url": urls[row.receiver], "body": body, "created_at": row.created_at}
        for row in waiting.all()
        if row.receiver in urls
        for event in row.content["alerts"]
        if (body := _body(event)) is not None
    ]
    op.bulk_insert(_old_outbox, rows)
    for table in ("alert_delivery", "attempt", "delivery", "notification_group", "document"):
        op.drop_table(table)
    op.execute(sa.text("DELETE FROM revision WHERE name IN ('planning', 'planned')"))


def _create() -> None:
    op.create_table(
        "document",
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("content", sa.JSON, nullable=False),
        sa.Column("secrets", sa.JSON, nullable=False, server_default="{}"),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "notification_group",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("state", sa.JSON, nullable=False),
        sa.Column("due_at", sa.BigInteger),
    )
    op.create_index("notification_group_due", "notification_group", ["due_at"])
    op.create_table(
        "delivery",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("seq", _SEQ, nullable=False),
        sa.Column("receiver", sa.String(64), nullable=False),
        sa.Column("group_key", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("content", sa.JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("next_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
    )
    op.create_index("delivery_waiting", "delivery", ["state", "receiver", "group_key", "seq"])
    op.create_index("delivery_seq", "delivery", ["seq"])
    op.create_index("delivery_ended", "delivery", ["ended_at"])
    op.create_table(
        "attempt",
        sa.Column("seq", _SEQ, primary_key=True, autoincrement=True),
        sa.Column("delivery_id", sa.String(64), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("result", sa.String(16), nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("latency_ms", sa.Double, nullable=False),
        sa.Column("problem", sa.String(1024), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("attempt_delivery", "attempt", ["delivery_id", "seq"])
    op.create_table(
        "alert_delivery",
        sa.Column("alert_id", sa.String(64), primary_key=True),
        sa.Column("delivery_id", sa.String(64), primary_key=True),
    )
    op.create_index("alert_delivery_delivery", "alert_delivery", ["delivery_id"])


def _document_row(kind: str, name: str, content: dict[str, Any], secrets: dict[str, Any]) -> dict[str, Any]:
    made = {"created_at": 0, "updated_at": 0}
    return {"kind": kind, "id": name, "version": 1, "content": content, "secrets": secrets} | made


def _routing(told: dict[str, list[str]]) -> dict[str, Any]:
    """Write routes: each receiver is told at once of changes of the alerts of its rules, the default of all others."""
    by_receivers: dict[tuple[str, ...], list[str]] = {}
    for rule_id, receivers in sorted(told.items()):
        by_receivers.setdefault(tuple(receivers), []).append(rule_id)
    routes = [
        {"matchers": [f'rule_id=~"{pattern}"'], "receiver": receiver, "continue": number < len(receivers)}
        for receivers, rules in by_receivers.items()
        for pattern in _patterns(rules)
        for number, receiver in enumerate(receivers, 1)
    ]
    at_once = {"group_by": ["alertname", "device"], "group_wait": "0s", "group_interval": "0s"}
    return {"route": {"receiver": _DEFAULT, "routes": routes} | at_once}


def _patterns(rules: list[str]) -> Iterator[str]:
    pattern = ""
    for rule in rules:
        name = re.sub(r"([^a-zA-Z0-9_-])", r"\\\\\1", rule)
        if pattern and len(pattern) + len(name) > _MOST_PATTERN:
            yield pattern
            pattern = ""
        pattern = f"{pattern}|{name}" if pattern else name
    yield pattern


def _rules(matchers: list[str]) -> list[str]:
    if len(matchers) != 1 or not (found := re.fullmatch(r'rule_id=~"([^"]*)"', matchers[0])):
        return []
    return [name.replace("\\", "") for name in found[1].split("|")]


def _notification(row: sa.Row[Any], receiver: str) -> dict[str, Any]:
    event = json.loads(row.body)
    event |= {"schema_version": 2, "rule_version": 1}
    firing = event.get("state") == "firing"
    return {
        "schema_version": 2,
        "id": str(event.get("id", row.seq)),
        "receiver": receiver,
        "group_key": row.alert_id,
        "status": "firing" if firing else "resolved",
        "reason": "new" if firing else "changed",
        "alerts": [event],
        "created_at": row.created_at,
    }


def _body(event: dict[str, Any]) -> str | None:
    if event.get("value") is None or event.get("threshold") is None:
        return None  # the earlier version has no words for it
    return json.dumps({"schema_version": 1} | {name: event.get(name, "") for name in _EVENT})
