"""Rules of every kind, alerts with levels and a history, and evaluation by partition.

What there was is kept: rules become threshold rules in their first form, alerts keep their ids, and the last values and
open alerts of a device become its row. All rows get partition 0: whoever reads the streams then divides them anew.

Two tables are left to the next migration, which tells people: `old_webhook`, the URLs of each rule, and `old_outbox`,
the notifications that no receiver had taken yet.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_AT_ONCE = 1000
_NEVER = -1
_SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_UNITS = {"d": 86_400_000_000_000, "h": 3_600_000_000_000, "m": 60_000_000_000, "s": 1_000_000_000, "ms": 1_000_000}
_IS_OPEN = sa.text("state IN ('pending', 'firing')")
_END_ASKED = sa.text("end_asked_by IS NOT NULL AND state IN ('pending', 'firing')")


def upgrade() -> None:
    for index in ("alert_open", "alert_state", "alert_resolved", "alert_rule", "alert_device"):
        op.drop_index(index, "alert")
    for table in ("rule", "alert", "mark", "position", "outbox"):
        op.rename_table(table, f"old_{table}")
    _create()
    _move_rules()
    _move_alerts()
    _move_marks()
    op.execute(
        "INSERT INTO position (stream, partition, created, sequence)"
        " SELECT stream, -1, created, sequence FROM old_position WHERE created <> ''"
    )
    for table in ("rule", "alert", "mark", "position"):
        op.drop_table(f"old_{table}")


def downgrade() -> None:
    for index in ("alert_open", "alert_open_partition", "alert_end_asked"):
        op.drop_index(index, "alert")
    for index in ("alert_state", "alert_resolved", "alert_rule", "alert_device"):
        op.drop_index(index, "alert")
    for table in ("rule", "alert", "position"):
        op.rename_table(table, f"new_{table}")
    for table in ("claim", "shard", "outbox", "change", "revision", "rule_error", "rule_version"):
        op.drop_table(table)
    op.rename_table("old_outbox", "outbox")
    _create_old()
    _move_back()
    for table in ("new_rule", "new_alert", "new_position", "device_state", "old_webhook"):
        op.drop_table(table)


def _create() -> None:
    op.create_table(
        "rule",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("content", sa.JSON(none_as_null=True)),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
    op.create_index("rule_revision", "rule", ["revision"])
    op.create_table(
        "rule_version",
        sa.Column("rule_id", sa.String(64), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("content", sa.JSON(none_as_null=True)),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "rule_error",
        sa.Column("rule_id", sa.String(64), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("message", sa.String(1024), nullable=False),
        sa.Column("device", sa.String(256), nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "revision",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
    _create_alert()
    op.create_table(
        "change",
        sa.Column("seq", _SEQ, primary_key=True, autoincrement=True),
        sa.Column("alert_id", sa.String(64), nullable=False),
        sa.Column("what", sa.String(16), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("value", sa.Double),
        sa.Column("reason", sa.String(32)),
        sa.Column("evidence", sa.JSON, nullable=False),
        sa.Column("who", sa.String(256), nullable=False, server_default=""),
        sa.Column("note", sa.String(4096), nullable=False, server_default=""),
        sqlite_autoincrement=True,
    )
    op.create_index("change_alert", "change", ["alert_id", "seq"])
    op.create_table(
        "outbox",
        sa.Column("seq", _SEQ, primary_key=True, autoincrement=True),
        sa.Column("alert_id", sa.String(64), nullable=False),
        sa.Column("what", sa.String(16), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "device_state",
        sa.Column("device", sa.String(256), primary_key=True),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.create_index("device_state_partition", "device_state", ["partition"])
    op.create_table(
        "shard",
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
    )
    op.create_table(
        "position",
        sa.Column("stream", sa.String(64), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("created", sa.String(64), nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "claim",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "old_webhook",
        sa.Column("rule_id", sa.String(64), primary_key=True),
        sa.Column("urls", sa.JSON, nullable=False),
    )


def _create_alert() -> None:
    op.create_table(
        "alert",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("rule_id", sa.String(64), nullable=False),
        sa.Column("rule", sa.String(256), nullable=False),
        sa.Column("rule_version", sa.Integer, nullable=False),
        sa.Column("device", sa.String(256), nullable=False),
        sa.Column("group_id", sa.String(256), nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("metric", sa.String(256), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("value", sa.Double),
        sa.Column("threshold", sa.Double),
        sa.Column("no_data", sa.Boolean, nullable=False),
        sa.Column("flapping", sa.Boolean, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("fired_at", sa.BigInteger),
        sa.Column("resolved_at", sa.BigInteger),
        sa.Column("reason", sa.String(32)),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("annotations", sa.JSON, nullable=False),
        sa.Column("runbook", sa.String(2000), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False, server_default="0"),
        sa.Column("acknowledged_at", sa.BigInteger),
        sa.Column("acknowledged_by", sa.String(256)),
        sa.Column("acknowledged_note", sa.String(4096)),
        sa.Column("acknowledged_until", sa.BigInteger),
        sa.Column("acknowledged_level", sa.Integer),
        sa.Column("assignee", sa.String(256)),
        sa.Column("shelved_at", sa.BigInteger),
        sa.Column("shelved_by", sa.String(256)),
        sa.Column("shelved_note", sa.String(4096)),
        sa.Column("shelved_until", sa.BigInteger),
        sa.Column("end_asked_by", sa.String(256)),
    )
    op.create_index("alert_state", "alert", ["state", "id"])
    op.create_index("alert_resolved", "alert", ["resolved_at"])
    op.create_index("alert_rule", "alert", ["rule_id", "id"])
    op.create_index("alert_device", "alert", ["device", "id"])
    _index("alert_open", ["rule_id", "device", "group_id"], _IS_OPEN, unique=True)
    _index("alert_open_partition", ["partition"], _IS_OPEN)
    _index("alert_end_asked", ["partition"], _END_ASKED)


def _index(name: str, columns: list[str], where: sa.TextClause, *, unique: bool = False) -> None:
    op.create_index(name, "alert", columns, unique=unique, sqlite_where=where, postgresql_where=where)


def _read(table: str, **columns: Any) -> sa.TableClause:  # noqa: ANN401 - column types
    """Name a table's columns, those that are not plain with their types."""
    bind = op.get_bind()
    names = [column["name"] for column in sa.inspect(bind).get_columns(table)]
    return sa.table(table, *(sa.column(name, columns.get(name)) for name in names))


def _rows(query: sa.Select[Any]) -> Iterator[Mapping[str, Any]]:
    """Read a page at a time: nothing is written meanwhile that the query could see."""
    found = op.get_bind().execute(query)
    for page in found.mappings().partitions(_AT_ONCE):
        yield from page  # type: ignore[misc]  # mappings of what was asked for


def _write(table: str, rows: Iterable[dict[str, Any]], **columns: Any) -> None:  # noqa: ANN401 - column types
    target = _read(table, **columns)
    page: list[dict[str, Any]] = []
    for row in rows:
        page.append(row)
        if len(page) == _AT_ONCE:
            op.bulk_insert(target, page)
            page = []
    if page:
        op.bulk_insert(target, page)


def _move_rules() -> None:
    old = _read("old_rule", devices=sa.JSON, webhooks=sa.JSON)
    rules = list(_rows(sa.select(old).order_by(sa.column("id"))))
    rows = [
        {
            "id": rule["id"],
            "version": rule["version"],
            "revision": number,
            "name": rule["name"],
            "kind": "threshold",
            "enabled": bool(rule["enabled"]),
            "content": _content(rule),
            "created_at": rule["created_at"],
            "updated_at": rule["updated_at"],
        }
        for number, rule in enumerate(rules, 1)
    ]
    _write("rule", rows, content=sa.JSON, enabled=sa.Boolean)
    versions = [
        {"rule_id": row["id"], "version": row["version"], "content": row["content"], "changed_at": row["updated_at"]}
        for row in rows
    ]
    _write("rule_version", versions, content=sa.JSON)
    _write("revision", [{"name": "rules", "value": len(rows)}, {"name": "routing", "value": 0}])
    urls = [{"rule_id": rule["id"], "urls": rule["webhooks"]} for rule in rules if rule["webhooks"]]
    _write("old_webhook", urls, urls=sa.JSON)


def _content(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Write a rule as its author would now."""
    content: dict[str, Any] = {
        "kind": "threshold",
        "name": rule["name"],
        "metric": rule["metric"],
        "operator": rule["operator"],
        "value": rule["value"],
        "severity": rule["severity"],
        "enabled": bool(rule["enabled"]),
        "for": _duration(rule["for_ns"]),
    }
    if rule["clear"] is not None:
        content["clear"] = rule["clear"]
    if rule["devices"] is not None:
        content["selector"] = {"devices": rule["devices"]}
    elif rule["profile"] is not None:
        content["selector"] = {"profile": rule["profile"]}
    return content


def _duration(ns: int) -> str:
    parts = []
    for unit, width in _UNITS.items():
        count, ns = divmod(ns, width)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _move_alerts() -> None:
    versions = {rule["id"]: rule["version"] for rule in _rows(sa.select(_read("rule")))}
    shared = {"group_id": "", "partition": 0, "level": 1, "no_data": False, "flapping": False, "runbook": ""}
    rows = (
        dict(alert)
        | shared
        | {"rule_version": versions.get(alert["rule_id"], 1), "annotations": {}}
        | {
            "labels": {
                "alertname": alert["rule"],
                "rule_id": alert["rule_id"],
                "severity": alert["severity"],
                "device": alert["device"],
                "metric": alert["metric"],
            }
        }
        for alert in list(_rows(sa.select(_read("old_alert"))))
    )
    types = {"labels": sa.JSON, "annotations": sa.JSON, "no_data": sa.Boolean, "flapping": sa.Boolean}
    _write("alert", rows, **types)


def _move_marks() -> None:
    """Make of each device's marks its row, in MessagePack as alerting/evaluation reads it; alerts tell the rest."""
    rule, mark, alert = _read("old_rule"), _read("old_mark"), _read("old_alert")
    metrics = {row["id"]: row["metric"] for row in _rows(sa.select(rule))}
    last: dict[str, dict[str, tuple[int, float]]] = {}
    for row in _rows(sa.select(mark)):
        if (metric := metrics.get(row["rule_id"])) is not None:
            seen = last.setdefault(row["device"], {})
            seen[metric] = max(seen.get(metric, (_NEVER, 0.0)), (row["ts"], float(row["value"])))
    for row in _rows(sa.select(alert).where(_IS_OPEN)):
        last.setdefault(row["device"], {}).setdefault(row["metric"], (row["started_at"], float(row["value"])))
    encode = msgspec.msgpack.Encoder().encode
    rows = (
        {"device": device, "partition": 0, "data": encode([min(seen.values())[0], max(seen.values())[0], seen, {}, {}])}
        for device, seen in last.items()
    )
    _write("device_state", rows, data=sa.LargeBinary)


def _create_old() -> None:
    op.create_table(
        "rule",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("metric", sa.String(256), nullable=False),
        sa.Column("operator", sa.String(2), nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("for_ns", sa.BigInteger, nullable=False),
        sa.Column("clear", sa.Double),
        sa.Column("devices", sa.JSON(none_as_null=True)),
        sa.Column("profile", sa.String(256)),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("webhooks", sa.JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "alert",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("rule_id", sa.String(64), nullable=False),
        sa.Column("rule", sa.String(256), nullable=False),
        sa.Column("device", sa.String(256), nullable=False),
        sa.Column("metric", sa.String(256), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("threshold", sa.Double, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("fired_at", sa.BigInteger),
        sa.Column("resolved_at", sa.BigInteger),
        sa.Column("reason", sa.String(32)),
    )
    _index("alert_open", ["rule_id", "device"], _IS_OPEN, unique=True)
    op.create_index("alert_state", "alert", ["state", "id"])
    op.create_index("alert_resolved", "alert", ["resolved_at"])
    op.create_index("alert_rule", "alert", ["rule_id", "id"])
    op.create_index("alert_device", "alert", ["device", "id"])
    op.create_table(
        "mark",
        sa.Column("rule_id", sa.String(64), primary_key=True),
        sa.Column("device", sa.String(256), primary_key=True),
        sa.Column("ts", sa.BigInteger, nullable=False),
        sa.Column("value", sa.Double, nullable=False),
    )
    op.create_index("mark_ts", "mark", ["ts"])
    op.create_table(
        "position",
        sa.Column("stream", sa.String(64), primary_key=True),
        sa.Column("created", sa.String(64), nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )


def _move_back() -> None:
    """Give the earlier version the rules that it knows, with their alerts, and what keeps it from repeating itself."""
    urls = {row["rule_id"]: row["urls"] for row in _rows(sa.select(_read("old_webhook", urls=sa.JSON)))}
    rules = {
        row["id"]: row["content"]
        for row in _rows(sa.select(_read("new_rule", content=sa.JSON(none_as_null=True))))
        if row["content"] and row["kind"] == "threshold" and row["content"].get("value") is not None
    }
    known = sa.column("id").in_(rules)
    _write(
        "rule",
        [
            {name: row[name] for name in ("id", "version", "name", "enabled", "created_at", "updated_at")}
            | _old_content(rules[row["id"]])
            | {"webhooks": urls.get(row["id"], [])}
            for row in _rows(sa.select(_read("new_rule", enabled=sa.Boolean)).where(known))
        ],
        devices=sa.JSON(none_as_null=True),
        webhooks=sa.JSON,
        enabled=sa.Boolean,
    )
    names = [column.name for column in _read("alert").columns]
    alerts = [
        {name: row[name] for name in names}
        for row in _rows(sa.select(_read("new_alert")))
        if row["rule_id"] in rules and row["value"] is not None and row["threshold"] is not None and row["device"]
    ]
    _write("alert", alerts)
    by_metric: dict[str, list[str]] = {}
    for rule_id, content in rules.items():
        by_metric.setdefault(content["metric"], []).append(rule_id)
    _write("mark", _marks(by_metric))
    positions: dict[str, tuple[int, str]] = dict.fromkeys(("TELEMETRY", "DERIVED"), (0, ""))
    for row in _rows(sa.select(_read("new_position")).order_by(sa.column("sequence").desc())):
        positions[row["stream"]] = row["sequence"], row["created"]  # the least of all partitions: the rest is late
    _write(
        "position",
        [{"stream": name, "created": made, "sequence": number} for name, (number, made) in positions.items()],
    )


def _old_content(content: Mapping[str, Any]) -> dict[str, Any]:
    selector = content.get("selector") or {}
    return {
        "metric": content["metric"],
        "operator": content.get("operator", "gt"),
        "value": content["value"],
        "for_ns": _ns(content.get("for", "0s")),
        "clear": content.get("clear"),
        "devices": selector.get("devices"),
        "profile": selector.get("profile"),
        "severity": content.get("severity", "warning"),
    }


def _ns(duration: str) -> int:
    number, ns = "", 0
    for part in duration.replace("ms", "!"):
        if part.isdigit():
            number += part
        else:
            ns, number = ns + int(number) * _UNITS["ms" if part == "!" else part], ""
    return ns


def _marks(by_metric: Mapping[str, list[str]]) -> Iterator[dict[str, Any]]:
    for row in list(_rows(sa.select(_read("device_state")))):
        for metric, (ts, value) in msgspec.msgpack.decode(row["data"])[2].items():
            for rule_id in by_metric.get(metric, ()):
                if isinstance(value, float):
                    yield {"rule_id": rule_id, "device": row["device"], "ts": ts, "value": value}
