"""Meshtastic JSON: `msh/EU_868/2/json/Fleet/{gateway}`, packets of a node, with the time to the second.

A node tells its position, its sensors and itself in packets of their own. Positions are whole numbers of 1e-7 degrees:
what is stored is what is left of them. A packet's number, by which repetitions are known, is made of its time.
"""

from collections.abc import Mapping, Sequence

from contracts.readings import Value
from simulators.formats.announcing import Announcing
from simulators.formats.texts import objects
from simulators.formats.wire import Encoded, Rows, Stored
from simulators.formats.words import Words
from simulators.models.model import Metric
from simulators.plan.devices import Device
from simulators.plan.load import SECOND

_MS = 1_000_000
_STEPS = 10_000_000
_PLACE = {"latitude": 90, "longitude": 180}
"""How many degrees each may be away from 0."""

_PACKETS = (
    ("position", {*_PLACE, "altitude"}),
    ("telemetry", {"temperature", "relative_humidity", "barometric_pressure", "lux"}),
    ("telemetry", {"battery_level", "voltage"}),
)
"""Types of packets, and the words that are in each."""

_WORDS = Words(
    "Meshtastic",
    {
        "latitude": ("latitude", "deg"),
        "longitude": ("longitude", "deg"),
        "altitude": ("altitude", "m"),
        "temperature": ("temperature", "degC"),
        "humidity": ("relative_humidity", "%"),
        "pressure": ("barometric_pressure", "hPa"),
        "illuminance": ("lux", "lx"),
        "battery": ("battery_level", "%"),
        "voltage": ("voltage", "V"),
    },
)


class Meshtastic(Announcing):
    """A node is its number in hex. The gateway that hears it says online and offline, retained."""

    name = "meshtastic"

    @staticmethod
    def presence(device: Device) -> str:
        """Give the topic."""
        return f"msh/EU_868/2/stat/{_node(device.via)}"

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store what nodes have a word for. Raises ValueError for a model with none, or with half a place."""
        found = _WORDS.stored(metrics)
        if len(_PLACE.keys() & set(found.values())) == 1:
            raise ValueError("Meshtastic tells latitude and longitude together, and the model has not both")
        return Stored(_node(device.number), found, SECOND)

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        words = _WORDS.known(rows.metrics)
        columns = {word: rows.columns[metric] for metric, word in words.items()}
        place = {word: _steps(columns[word], most) for word, most in _PLACE.items() if word in columns}
        bodies = [_bodies(columns, place, mine, len(rows.devices)) for _, mine in _PACKETS]
        carried = [tuple(metric for metric, word in words.items() if word in mine) for _, mine in _PACKETS]
        sent = [
            (row, number, body)
            for row in range(len(rows.devices))
            for number in range(len(_PACKETS))
            if (body := bodies[number][row]) is not None
        ]
        return Encoded(
            [f"msh/EU_868/2/json/Fleet/{_node(rows.devices[row].via)}".encode() for row, _, _ in sent],
            [
                b'{%b"from":%d,"to":4294967295,"channel":0,"type":"%b","payload":%b,"sender":"%b"}'
                % (
                    _identity(rows.ts[row], number),
                    _number(rows.devices[row].number),
                    _PACKETS[number][0].encode(),
                    body,
                    _node(rows.devices[row].via).encode(),
                )
                for row, number, body in sent
            ],
            [row for row, _, _ in sent],
            [carried[number] for _, number, _ in sent],
            said={word: [_degrees(steps[row]) for row, _, _ in sent] for word, steps in place.items()},
        )


def _bodies(
    columns: Mapping[str, Sequence[Value | None]],
    place: Mapping[str, Sequence[int | None]],
    mine: set[str],
    count: int,
) -> list[bytes | None]:
    """Write what packets of one type hold, one a row; None for none. Without a place there is no position."""
    found = {word: column for word, column in columns.items() if word in mine and word not in place}
    if not mine >= _PLACE.keys():
        return [None if text == b"{}" else text for text in objects(found, count)]
    if not place:
        return [None] * count
    whole = objects({**{f"{word}_i": steps for word, steps in place.items()}, **found}, count)
    return [None if None in fix else text for text, fix in zip(whole, zip(*place.values(), strict=True), strict=True)]


def _steps(column: Sequence[Value | None], most: int) -> list[int | None]:
    """Give degrees as nodes count them; None for what is no latitude or longitude."""
    return [round(value * _STEPS) if type(value) is float and -most <= value <= most else None for value in column]


def _degrees(steps: int | None) -> float | None:
    return None if steps is None else steps / _STEPS


def _identity(ts: int | None, number: int) -> bytes:
    """Write a packet's number and its time; without a clock there is neither."""
    if ts is None:
        return b""
    return b'"id":%d,"timestamp":%d,' % ((ts // _MS * len(_PACKETS) + number) % 2**32, ts // SECOND)


def _number(number: int) -> int:
    return 0x80000000 | number


def _node(number: int) -> str:
    return f"!{_number(number):08x}"
