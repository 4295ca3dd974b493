"""What the two MQTT APIs of ThingsBoard have in common: records of telemetry, and attributes. Pure.

Times are always ms, however small they are.
"""

from collections.abc import Sequence

from contracts.deadletters import Reason
from ingest.findings import MILLISECONDS, Findings
from ingest.jsons import kind
from ingest.outcomes import Ignored
from ingest.values import Unusable

_TIMED_FIELDS = 2  # ts and values
_FACTS = {"fw": "firmware", "fw_version": "firmware", "firmware": "firmware", "model": "model"}


def after(levels: Sequence[str], base: Sequence[str]) -> tuple[str, ...] | None:
    """Give the levels of a topic behind those of `base`, wherever these stand; None if they are not in it."""
    length = len(base)
    for at in range(len(levels) - length + 1):
        if tuple(levels[at : at + length]) == tuple(base):
            return tuple(levels[at + length :])
    return None


def take_records(findings: Findings, device: str, records: Sequence[object], where: str = "") -> None:
    """Take in records of one device: each `{"ts", "values"}`, or an object of metrics without a time.

    `ts` alone, without an object `values`, is a metric like any other.
    """
    for number, record in enumerate(records, start=1):
        part = f"{where}record {number}: "
        if not isinstance(record, dict):
            findings.problem(Reason.MALFORMED, f"{part}it is {kind(record)}, not an object")
            continue
        fields, stated = record, None
        if "ts" in record and isinstance(record.get("values"), dict):
            fields, stated = record["values"], record["ts"]
            if len(record) > _TIMED_FIELDS:
                findings.left_out(Ignored.NO_VALUE, len(record) - _TIMED_FIELDS)
        moment = findings.when(stated, unit=MILLISECONDS, where=part, earliest=0)
        if moment is not None:
            findings.reading(device, fields, moment, where=part)


def take_attributes(findings: Findings, device: str, attributes: dict[str, object]) -> None:
    """Take in attributes: what is plain becomes a fact, under its usual name or as `attribute.NAME`."""
    facts = {}
    for name, value in attributes.items():
        if isinstance(value, str | int | float) and not isinstance(value, Unusable):
            told = str(value).lower() if isinstance(value, bool) else value
            facts[_FACTS.get(name, f"attribute.{name}")] = told
    findings.facts(device, facts)
