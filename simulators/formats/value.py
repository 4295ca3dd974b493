"""One plain value a message: `devices/{id}/telemetry/{metric}`, stored when it arrives."""

from collections.abc import Mapping
from functools import lru_cache

from contracts import topics
from simulators.formats.json import Json
from simulators.formats.texts import written
from simulators.formats.wire import Encoded, Rows, Stored
from simulators.models.model import Metric
from simulators.plan.devices import Device


class OneValue(Json):
    """A message for each metric of a reading. Devices say that they are online and offline as those of `json` do."""

    name = "value"

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store each metric, without a time of its own."""
        return Stored(device.id, {metric: metric for metric in metrics}, resolution=0)

    def encode(self, rows: Rows) -> Encoded:
        """Write readings, metric by metric."""
        texts = [(metric, written(column)) for metric, column in rows.columns.items()]
        found = Encoded([], [], [], [])
        assert found.rows is not None  # noqa: S101 - said above
        assert found.metrics is not None  # noqa: S101 - said above
        for row, device in enumerate(rows.devices):
            for metric, column in texts:
                text = column[row]
                if text is not None:
                    found.topics.append(_topic(device.id, metric))
                    found.payloads.append(text)
                    found.rows.append(row)
                    found.metrics.append((metric,))
        return found


@lru_cache(maxsize=65_536)
def _topic(device: str, metric: str) -> bytes:
    return f"{topics.telemetry(device)}/{metric}".encode()
