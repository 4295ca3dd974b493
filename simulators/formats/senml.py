"""SenML (RFC 8428), as JSON and as CBOR: a record for each metric, behind a base name and a base time in seconds.

Times before 1978 are relative in SenML, so a clock that was never set is not told. A double holds seconds to the µs.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache

import cbor2

from contracts.readings import Value
from simulators.formats.plain import Plain
from simulators.formats.texts import fragments, written
from simulators.formats.wire import Encoded, Rows, Stored
from simulators.models.model import Metric
from simulators.plan.devices import Device
from simulators.plan.load import SECOND

_US = 1_000
_ABSOLUTE = (1 << 28) * SECOND
_BASE_NAME, _BASE_TIME, _NAME, _UNIT, _VALUE, _STRING, _BOOLEAN = -2, -3, 0, 1, 2, 3, 4
_LABELS = {_VALUE: b"v", _STRING: b"vs", _BOOLEAN: b"vb"}


class SenmlJson(Plain):
    """`m/fleet/c/{id}`, a pack in JSON."""

    name = "senml-json"

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store everything under the base name."""
        return Stored(device.id, {metric: metric for metric in metrics}, _US)

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        return Encoded([_topic(device.id) for device in rows.devices], self._payloads(rows))

    def _payloads(self, rows: Rows) -> list[bytes]:
        heads = [_head(name, rows.metrics[name].unit) for name in rows.columns]
        texts = [_labelled(column) for column in rows.columns.values()]
        found = fragments(heads, texts, len(rows.devices))
        return [
            b'[{"bn":"%b:",%b%b}]' % (device.id.encode(), _base_time(ts), b"},{".join(records)) if records else b"[]"
            for device, ts, records in zip(rows.devices, rows.ts, found, strict=True)
        ]


class SenmlCbor(SenmlJson):
    """The same in CBOR, where labels are numbers."""

    name = "senml-cbor"

    def _payloads(self, rows: Rows) -> list[bytes]:
        heads: list[dict[int, Value]] = [
            {_NAME: name, _UNIT: unit} if (unit := rows.metrics[name].unit) else {_NAME: name} for name in rows.columns
        ]
        payloads = []
        for device, ts, *values in zip(rows.devices, rows.ts, *rows.columns.values(), strict=True):
            pack: list[dict[int, Value]] = [
                head | {_label(value): value} for head, value in zip(heads, values, strict=True) if value is not None
            ]
            if pack:
                base: dict[int, Value] = {_BASE_NAME: f"{device.id}:"}
                if ts is not None and ts >= _ABSOLUTE:
                    base[_BASE_TIME] = float(f"{ts // SECOND}.{ts % SECOND // _US:06d}")
                pack[0] = base | pack[0]
            payloads.append(cbor2.dumps(pack))
        return payloads


def _label(value: Value) -> int:
    return _STRING if type(value) is str else _BOOLEAN if type(value) is bool else _VALUE


def _head(name: str, unit: str) -> bytes:
    whole = json.dumps({"n": name, "u": unit} if unit else {"n": name}, separators=(",", ":"))
    return whole[1:-1].encode() + b","


def _labelled(column: Sequence[Value | None]) -> list[bytes | None]:
    return [
        None if text is None or value is None else b'"%b":%b' % (_LABELS[_label(value)], text)
        for value, text in zip(column, written(column), strict=True)
    ]


def _base_time(ts: int | None) -> bytes:
    """Write the seconds, exact to the µs; nothing where the clock was never set."""
    return b"" if ts is None or ts < _ABSOLUTE else b'"bt":%d.%06d,' % (ts // SECOND, ts % SECOND // _US)


@lru_cache(maxsize=65_536)
def _topic(device: str) -> bytes:
    return f"m/fleet/c/{device}".encode()
