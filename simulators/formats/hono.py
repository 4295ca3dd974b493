"""Eclipse Hono, by a gateway: `telemetry/{tenant}/{id}/?content-type=application%2Fjson`, JSON of our own form."""

from collections.abc import Mapping

from simulators.formats.json import Json
from simulators.formats.plain import Plain
from simulators.formats.wire import Encoded, Rows, Stored
from simulators.models.model import Metric
from simulators.plan.devices import Device

_TENANT = "FLEET"
_json = Json()


class Hono(Plain):
    """Devices by themselves are known to Hono's broker alone; so they publish by a gateway, which names them."""

    name = "hono"

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store everything as it is, under tenant and device."""
        return Stored(f"{_TENANT}:{device.id}", {metric: metric for metric in metrics})

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        return Encoded(
            [f"telemetry/{_TENANT}/{d.id}/?content-type=application%2Fjson".encode() for d in rows.devices],
            _json.encode(rows).payloads,
        )
