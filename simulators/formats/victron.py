"""Victron Venus: `N/{portal}/system/0/{path}`, one value in JSON, stored when it arrives. A device is a portal."""

from collections.abc import Mapping, Sequence

from simulators.formats.plain import Plain, said
from simulators.formats.singly import singly
from simulators.formats.texts import written
from simulators.formats.wire import Encoded, Rows, Stored, Will
from simulators.formats.words import without
from simulators.models.model import Metric
from simulators.plan.devices import Device

_MEANT_OTHERWISE = (
    {"product_id", "product_name", "custom_name", "firmware_version", "hardware_version", "serial"}
    | {"device_instance", "mgmt"}
)  # fmt: skip


class Victron(Plain):
    """Metrics are written as Venus writes paths, `BatteryVoltage`. An empty payload says that the system has gone."""

    name = "victron"

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store each path of the portal's one service."""
        return Stored(
            f"{device.id}:system:0",
            {metric: _path(metric) for metric in without(metrics, _MEANT_OTHERWISE)},
            resolution=0,
        )

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        texts = {
            metric: (_path(metric).encode(), [text and b'{"value":%b}' % text for text in written(column)])
            for metric, column in without(rows.columns, _MEANT_OTHERWISE).items()
        }
        return singly(rows.devices, lambda device: f"N/{device.id}/system/0/".encode(), texts)

    def closing(self, devices: Sequence[Device]) -> Encoded:
        """Say that the systems leave."""
        count = len(devices)
        return said([_serial(device) for device in devices], [b""] * count, [*range(count)])

    def will(self, device: Device) -> Will | None:
        """Have it said that the system has left."""
        return Will(_serial(device), b"", retain=False)


def _serial(device: Device) -> bytes:
    return f"N/{device.id}/system/0/Serial".encode()


def _path(metric: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in metric.split("_"))
