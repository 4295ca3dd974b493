"""AWS IoT device shadow: `$aws/things/{id}/shadow/update/accepted`, as AWS repeats what a thing has reported."""

from collections.abc import Mapping

from simulators.formats.plain import Plain
from simulators.formats.texts import objects
from simulators.formats.wire import Encoded, Rows, Stored
from simulators.models.model import Metric
from simulators.plan.devices import Device
from simulators.plan.load import SECOND


class AwsShadow(Plain):
    """Each field has its own time, to the second: so a device can tell apart no more than one reading a second."""

    name = "aws-shadow"

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store everything as it is."""
        return Stored(device.id, {metric: metric for metric in metrics}, SECOND)

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        found = objects(rows.columns, len(rows.devices))
        return Encoded(
            [f"$aws/things/{device.id}/shadow/update/accepted".encode() for device in rows.devices],
            [
                b'{"state":{"reported":%b}%b}' % (values, _times(rows.metrics, ts))
                for ts, values in zip(rows.ts, found, strict=True)
            ],
        )


def _times(metrics: Mapping[str, Metric], ts: int | None) -> bytes:
    """Write the fields' times, and the message's; without a clock there are none."""
    if ts is None:
        return b""
    seconds = ts // SECOND
    fields = b",".join(b'"%b":{"timestamp":%d}' % (metric.encode(), seconds) for metric in metrics)
    return b',"metadata":{"reported":{%b}},"timestamp":%d' % (fields, seconds)
