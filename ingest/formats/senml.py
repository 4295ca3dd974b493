"""SenML (RFC 8428), as JSON or as CBOR: an array of records, of which earlier ones set what later ones share.

The device is in the records' names, unless the topic names it. A time is seconds since 1970, or relative to now where
it is small. CBOR is told from JSON by the content type, else by the first byte.
"""

from decimal import Decimal
from typing import Any

from contracts.deadletters import Reason
from ingest import cbors, jsons
from ingest.context import Context
from ingest.findings import NANOSECONDS, SECONDS, Findings, Moment
from ingest.formats import Format
from ingest.identity import spell
from ingest.outcomes import Arrival, Decoded, Ignored, ignored, rejected
from ingest.routes import Route
from ingest.senml import EPOCH_FROM, Record, from_cbor, resolve, unreadable
from ingest.times import NO_FLAGS
from ingest.values import shown

_JSON, _CBOR = "application/senml+json", "application/senml+cbor"
TYPES = frozenset({_JSON, _CBOR})
"""Content types of SenML."""

_CBOR_ARRAYS = range(0x80, 0xA0)
_ENCODED = {"encoding": "base64url"}


def content_type(arrival: Arrival) -> str:
    """Give the content type of a message without its parameters, in lower case; empty if it has none."""
    return arrival.properties.get("content-type", "").partition(";")[0].strip().lower()


def looks_like_cbor(payload: bytes) -> bool:
    """Whether the first byte begins an array in CBOR, as it begins no text."""
    return bool(payload) and payload[0] in _CBOR_ARRAYS


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode a SenML pack."""
    if not arrival.payload:
        return ignored(Ignored.EMPTY)
    try:
        kind = content_type(arrival)
        cbor = kind == _CBOR or (kind != _JSON and looks_like_cbor(arrival.payload))
        pack = from_cbor(cbors.read(arrival.payload)) if cbor else jsons.read(arrival.payload)
    except jsons.UnreadableError as error:
        return rejected(error.reason, str(error))
    if not isinstance(pack, list):
        return rejected(Reason.MALFORMED, "the payload is no SenML pack, which is an array of records")
    return decode_pack(pack, arrival, route, context)


def decode_pack(pack: list[Any], arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode the records of a pack."""
    if wrong := unreadable(pack):
        return rejected(Reason.MALFORMED, wrong)
    findings = Findings(arrival, route, context)
    records = list(resolve(pack, findings))
    by_unit = _told_apart_by_unit(records)
    for record in records:
        device, metric = _named(record, route.device, by_unit)
        if not device or not metric:
            reason = Reason.BAD_VALUE if device else Reason.NO_IDENTITY
            named = shown(record.base + record.name)
            findings.problem(reason, f"{record.where}the name {named} gives no {'metric' if device else 'device'}")
        elif (moment := _moment(record.time, findings, arrival, record.where)) is not None:
            _store(findings, device, metric, moment, record)
    return findings.decoded()


def _told_apart_by_unit(records: list[Record]) -> frozenset[str]:
    """Give the base names of which several quantities are told, in a pack where no record has a name of its own."""
    if any(record.name for record in records):
        return frozenset()
    units: dict[str, set[str]] = {}
    for record in records:
        units.setdefault(record.base, set()).add(record.unit)
    return frozenset(base for base, known in units.items() if len(known) > 1)


def _named(record: Record, device: str, by_unit: frozenset[str]) -> tuple[str, str]:
    """Give the device and the metric; one that the record does not name is empty."""
    base, name = record.base, record.name
    owner = base[:-1] if base.endswith((":", "/")) else base
    if base and name:
        return device or spell(owner), name
    if base in by_unit or owner != base:
        return device or spell(owner), record.unit or "value"
    whole = base or name
    at = max(whole.rfind(":"), whole.rfind("/"))
    if device:
        return device, name or whole[at + 1 :]
    return spell(whole[: max(at, 0)]), whole[at + 1 :]


def _moment(time: int | Decimal, findings: Findings, arrival: Arrival, where: str) -> Moment | None:
    if time >= EPOCH_FROM:
        stated = time if isinstance(time, int) else str(time)
        return findings.when(stated, unit=SECONDS, where=where, earliest=EPOCH_FROM * SECONDS)
    if time == 0 or arrival.retained:  # when a retained one was sent, from which its time counts, is not known
        return findings.when(None)
    return findings.when(arrival.received + int(time * SECONDS), unit=NANOSECONDS, where=where, earliest=0)


def _store(findings: Findings, device: str, metric: str, moment: Moment, record: Record) -> None:
    for label, value in record.values.items():
        name, unit = metric, record.unit if label == "v" else record.own_unit
        if label == "s":
            name, unit = f"{metric}.sum", _integrated(record.unit)
        flags = _ENCODED if label == "vd" else NO_FLAGS
        findings.reading(
            device, {name: value}, moment, units={name: unit} if unit else {}, flags=flags, where=record.where
        )
    if record.interval > 0:
        findings.facts(device, {"interval": record.interval})


def _integrated(unit: str) -> str:
    """Give the unit of a sum over time: the litres of l/s, the W.s of W."""
    return unit.removesuffix("/s") if unit.endswith("/s") else f"{unit}.s" if unit else ""


FORMAT = Format(decode)
