"""SenML packs (RFC 8428): records, and what later ones take over from earlier ones. Pure."""

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from decimal import Decimal
from math import isfinite
from typing import Any

import msgspec

from contracts.deadletters import Reason
from ingest import jsons
from ingest.findings import Findings
from ingest.values import Text, Unusable, shown

EPOCH_FROM = 1 << 28
"""Times from this many seconds on are counted from 1970; smaller ones from now."""

_CBOR_LABELS = dict(
    enumerate(["bs", "bv", "bu", "bt", "bn", "bver", "n", "u", "v", "vs", "vb", "s", "t", "ut", "vd"], start=-6)
)
"""The labels by their numbers in CBOR."""

_LABELS = frozenset(_CBOR_LABELS.values())
_TEXTS, _NUMBERS = frozenset({"bn", "bu", "n", "u", "vs"}), frozenset({"bt", "bv", "bs", "t", "v", "s", "ut"})
_VALUES = ("v", "vs", "vb", "vd")
_BASES = {"bn": "", "bt": 0, "bu": "", "bv": 0, "bs": 0}
_VERSION = 10
_BASE64URL = re.compile(r"(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2,3}=?=?)?")


class _Nonsense:
    """What a CBOR label holds that is there both as a number and as text, or that has no such value in JSON."""


_NONSENSE = _Nonsense()


class Record(msgspec.Struct, frozen=True):
    """A record, with all that it takes over.

    `where` names it. `name` is its own, `base` the one before that. `unit` is that of a number, `own_unit` its own
    alone. `time` in s, as the pack counts it. `values` by label, the base values added. `interval`: at most so many s
    until the next one; 0 if that is not said.
    """

    where: str
    base: str
    name: str
    unit: str
    own_unit: str
    time: int | Decimal
    values: dict[str, Any]
    interval: float


def from_cbor(pack: object) -> object:
    """Give a pack as JSON would have it: labels are text, data is base64url."""
    return [_renamed(record) if isinstance(record, dict) else record for record in pack] if type(pack) is list else pack


def _renamed(record: Mapping[object, object]) -> dict[str, object]:
    out: dict[str, object] = {}
    for key, value in record.items():
        label = _CBOR_LABELS.get(key, "") if isinstance(key, int) and type(key) is int else key
        if isinstance(label, str) and label:
            out[label] = _NONSENSE if label in out else _as_json(label, value)
    return out


def _as_json(label: str, value: object) -> object:
    if label == "vd":
        return urlsafe_b64encode(value).rstrip(b"=").decode() if isinstance(value, bytes) else _NONSENSE
    if isinstance(value, Decimal):
        value = float(value)
    return Unusable(repr(value)) if isinstance(value, float) and not isfinite(value) else value


def unreadable(pack: list[Any]) -> str:
    """Say why a whole pack must not be read; empty if it may be."""
    for number, record in enumerate(pack, start=1):
        if not isinstance(record, dict):
            continue
        version = record.get("bver", _VERSION)
        if type(version) not in (int, float) or version < 0:
            return f"record {number}: bver is no version"
        if version > _VERSION:
            return f"record {number}: bver is {str(version)[:20]}; versions up to {_VERSION} can be read"
        for label in record:
            if label.endswith("_"):
                return f"record {number}: {shown(label)} has to be understood, and is not known"
    return ""


def resolve(pack: list[Any], findings: Findings) -> Iterator[Record]:
    """Give the records that are good, in order; what is wrong with others is noted in `findings`."""
    bases: dict[str, Any] = dict(_BASES)
    lost: set[str] = set()  # base fields that were set to nonsense: nobody knows what they are meant to be
    for number, fields in enumerate(pack, start=1):
        where = f"record {number}: "
        if not isinstance(fields, dict):
            findings.problem(Reason.MALFORMED, f"{where}it is {jsons.kind(fields)}, not an object")
            continue
        bad = [label for label in fields if label in _LABELS and not _fits(label, fields[label])]
        for label in bases.keys() & fields.keys():
            bases[label] = fields[label]
            (lost.add if label in bad else lost.discard)(label)
        values = [label for label in _VALUES if label in fields]
        if bad:
            findings.problem(Reason.BAD_VALUE, f"{where}{', '.join(bad)} cannot be read")
        elif lost:
            findings.problem(Reason.BAD_VALUE, f"{where}{', '.join(sorted(lost))} before it could not be read")
        elif len(values) > 1 or not (values or "s" in fields):
            what = f"it has {' and '.join(values)}" if values else "it has no value"
            findings.problem(Reason.MALFORMED, where + what)
        else:
            yield _record(where, fields, bases)


def _fits(label: str, value: object) -> bool:
    if label in _TEXTS:
        return isinstance(value, str) and type(value) is not Unusable
    if label == "v" and (value is None or type(value) is Unusable):
        return True  # no value, or one that is refused by itself
    if label in _NUMBERS:
        return type(value) in (int, float)
    if label == "vb":
        return isinstance(value, bool)
    return label != "vd" or (isinstance(value, str) and _BASE64URL.fullmatch(value) is not None)


def _record(where: str, fields: Mapping[str, Any], bases: Mapping[str, Any]) -> Record:
    """Add up a record and its base fields."""
    values: dict[str, Any] = {"vb": fields["vb"]} if "vb" in fields else {}
    values |= {label: Text(fields[label]) for label in ("vs", "vd") if label in fields}
    for label, base in (("v", "bv"), ("s", "bs")):
        if label in fields:
            stated = fields[label]
            values[label] = _number(_sum(stated, bases[base])) if type(stated) in (int, float) else stated
    unit, time = fields.get("u", ""), _sum(fields.get("t", 0), bases["bt"])
    return Record(where, bases["bn"], fields.get("n", ""), unit or bases["bu"], unit, time, values, fields.get("ut", 0))


def _sum(number: float, base: float) -> int | Decimal:
    """Add exactly what was written: binary floats would show digits that nobody sent."""
    if isinstance(number, int) and isinstance(base, int):
        return number + base
    return Decimal(repr(number)) + Decimal(repr(base))


def _number(total: int | Decimal) -> float:
    return total if isinstance(total, int) else float(total)
