"""Shelly, second generation and later: `{id}/events/rpc`, a notification as an RPC frame, its time in seconds."""

from collections.abc import Mapping

from simulators.formats.announcing import Announcing
from simulators.formats.texts import joined, objects
from simulators.formats.wire import Encoded, Rows, Stored
from simulators.formats.words import without
from simulators.models.model import Metric
from simulators.plan.devices import Device

_COMPONENT = "sensor:0"
_MS = 1_000_000
_MEANT_OTHERWISE = {"id", "mac", "errors", "ts", "time", "unixtime", "by_minute", "minute_ts"}


class Shelly(Announcing):
    """All metrics are fields of one component. `{id}/online` says true and false, retained."""

    name = "shelly"
    here, gone = b"true", b"false"

    @staticmethod
    def presence(device: Device) -> str:
        """Give the topic."""
        return f"{device.id}/online"

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store the component's fields; times have three decimals of a second."""
        return Stored(
            device.id, {metric: f"{_COMPONENT}.{metric}" for metric in without(metrics, _MEANT_OTHERWISE)}, _MS
        )

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        found = objects(without(rows.columns, _MEANT_OTHERWISE), len(rows.devices))
        return Encoded(
            [f"{device.id}/events/rpc".encode() for device in rows.devices],
            [
                b'{"src":"%b","dst":"%b/events","method":"NotifyStatus","params":{%b"%b":%b}}'
                % ((name := device.id.encode()), name, _time(ts), _COMPONENT.encode(), joined(b'"id":0', values))
                for device, ts, values in zip(rows.devices, rows.ts, found, strict=True)
            ],
        )


def _time(ts: int | None) -> bytes:
    """Write a time; without a clock there is none."""
    return b"" if ts is None else b'"ts":%d.%03d,' % divmod(ts // _MS, 1000)
