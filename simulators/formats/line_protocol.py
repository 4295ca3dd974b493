"""InfluxDB line protocol, on Telegraf's topics: one line a reading, with the tag `host` and a time in ns."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from contracts.readings import Value
from simulators.formats.plain import Plain
from simulators.formats.texts import fragments, written
from simulators.formats.wire import Encoded, Rows, Stored
from simulators.models.model import Metric
from simulators.plan.devices import Device

_MEASUREMENT = "sensors"
_SPECIAL = re.compile(r"([,= ])")


class LineProtocol(Plain):
    """`telegraf/{id}/sensors`."""

    name = "line-protocol"

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store everything behind the measurement's name."""
        alone = metrics.keys() == {"value"}  # it is then called as the measurement is
        return Stored(device.id, {metric: _MEASUREMENT if alone else f"{_MEASUREMENT}.{metric}" for metric in metrics})

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        heads = [_SPECIAL.sub(r"\\\1", metric).encode() + b"=" for metric in rows.columns]
        texts = [_fields(column) for column in rows.columns.values()]
        found = fragments(heads, texts, len(rows.devices))
        return Encoded(
            [_topic(device.id) for device in rows.devices],
            [
                b"%b,host=%b %b%b" % (_MEASUREMENT.encode(), device.id.encode(), b",".join(fields), _time(ts))
                if fields
                else b""
                for device, ts, fields in zip(rows.devices, rows.ts, found, strict=True)
            ],
        )


def _time(ts: int | None) -> bytes:
    return b"" if ts is None else b" %d" % ts


def _fields(column: Sequence[Value | None]) -> list[bytes | None]:
    return [
        b'"%b"' % value.replace("\\", "\\\\").replace('"', '\\"').encode() if type(value) is str else text
        for value, text in zip(column, written(column), strict=True)
    ]


@lru_cache(maxsize=65_536)
def _topic(device: str) -> bytes:
    return f"telegraf/{device}/{_MEASUREMENT}".encode()
