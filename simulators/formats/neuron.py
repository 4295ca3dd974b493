"""EMQX Neuron: `/neuron/{app}/{driver}/{group}`, the tags of a group at one time, in ms."""

from collections.abc import Mapping

from simulators.formats.plain import Plain
from simulators.formats.texts import objects
from simulators.formats.wire import Encoded, Rows, Stored
from simulators.models.model import Metric
from simulators.plan.devices import Device

_GROUP = "fast"
_MS = 1_000_000


class Neuron(Plain):
    """A device is a driver, with one group of tags."""

    name = "neuron"

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store each tag behind its group."""
        return Stored(device.id, {metric: f"{_GROUP}.{metric}" for metric in metrics}, _MS)

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        found = objects(rows.columns, len(rows.devices))
        return Encoded(
            [f"/neuron/fleet/{device.id}/{_GROUP}".encode() for device in rows.devices],
            [
                b'{%b"node":"%b","group":"%b","values":%b,"errors":{}}'
                % (_time(ts), device.id.encode(), _GROUP.encode(), values)
                for device, ts, values in zip(rows.devices, rows.ts, found, strict=True)
            ],
        )


def _time(ts: int | None) -> bytes:
    return b"" if ts is None else b'"timestamp":%d,' % (ts // _MS)
