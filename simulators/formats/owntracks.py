"""OwnTracks: `owntracks/{user}/{id}`, a location with the time of its fix, to the second."""

from collections.abc import Mapping

from simulators.formats.plain import Plain
from simulators.formats.texts import joined, objects
from simulators.formats.wire import Encoded, Rows, Stored, Will
from simulators.formats.words import Words
from simulators.models.model import Metric
from simulators.plan.devices import Device
from simulators.plan.load import SECOND

_USER = "fleet"
_POSITION = ("lat", "lon")
_WORDS = Words(
    "OwnTracks",
    {
        "latitude": ("lat", "deg"),
        "longitude": ("lon", "deg"),
        "accuracy": ("acc", "m"),
        "altitude": ("alt", "m"),
        "speed": ("vel", "km/h"),
        "heading": ("cog", "deg"),
        "battery": ("batt", "%"),
        "pressure": ("p", "kPa"),
    },
)


class OwnTracks(Plain):
    """A device can tell apart no more than one reading a second. One without a position is not sent."""

    name = "owntracks"

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store what the app has a word for. Raises ValueError for a model without a position."""
        found = _WORDS.stored(metrics)
        if not set(_POSITION) <= set(found.values()):
            raise ValueError("OwnTracks is about positions, and the model has no latitude and longitude in deg")
        return Stored(f"{_USER}:{device.id}", found, SECOND)

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        words = _WORDS.known(rows.metrics)
        columns = {word: rows.columns[metric] for metric, word in words.items()}
        found = objects(columns, len(rows.devices))
        places = [
            row for row, fix in enumerate(zip(*map(columns.__getitem__, _POSITION), strict=True)) if None not in fix
        ]
        return Encoded(
            [_topic(rows.devices[row]) for row in places],
            [
                joined(
                    b'"_type":"location","tid":"%02d"%b' % (rows.devices[row].number % 100, _time(rows.ts[row])),
                    found[row],
                )
                for row in places
            ],
            places,
            [tuple(words)] * len(places),
        )

    def will(self, device: Device) -> Will | None:
        """Have it said that the app's connection is lost."""
        return Will(_topic(device), b'{"_type":"lwt","tst":0}', retain=False)


def _topic(device: Device) -> bytes:
    return f"owntracks/{_USER}/{device.id}".encode()


def _time(ts: int | None) -> bytes:
    return b"" if ts is None else b',"tst":%d' % (ts // SECOND)
