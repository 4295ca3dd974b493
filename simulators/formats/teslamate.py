"""TeslaMate: `teslamate/cars/{number}/{field}`, one plain value, retained, and stored when it arrives."""

from collections.abc import Mapping

from simulators.formats.plain import Plain
from simulators.formats.singly import bare, singly
from simulators.formats.wire import Encoded, Rows, Stored
from simulators.formats.words import Words
from simulators.models.model import Metric
from simulators.plan.devices import Device

_WORDS = Words(
    "TeslaMate",
    {
        "latitude": ("latitude", "deg"),
        "longitude": ("longitude", "deg"),
        "altitude": ("elevation", "m"),
        "speed": ("speed", "km/h"),
        "heading": ("heading", "deg"),
        "battery": ("battery_level", "%"),
        "odometer": ("odometer", "km"),
        "range": ("rated_battery_range_km", "km"),
        "power": ("power", "kW"),
        "outside_temperature": ("outside_temp", "degC"),
        "inside_temperature": ("inside_temp", "degC"),
        "locked": ("locked", ""),
        "plugged_in": ("plugged_in", ""),
    },
)


class TeslaMate(Plain):
    """A car is its device's number. What it does (driving, asleep) is no metric here, and is not said."""

    name = "teslamate"

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store what TeslaMate has a field for."""
        return Stored(f"teslamate:{device.number}", _WORDS.stored(metrics), resolution=0)

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        words = _WORDS.known(rows.metrics)
        texts = {metric: (word.encode(), bare(rows.columns[metric])) for metric, word in words.items()}
        return singly(rows.devices, lambda device: b"teslamate/cars/%d/" % device.number, texts, retain=True)
