"""What can go wrong in which wire format, and what ingest then makes of it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from simulators.faults.target import Target


class Dialect(NamedTuple):
    """One format: what it cannot say, and why: a kind of fault, or a kind and how it is to be.

    `whole`: a message with a bad value is rejected, all of it. `most` is the largest payload that ingest takes.
    """

    cannot: Mapping[str, str] = {}
    whole: bool = False
    most: int = 1 << 20


_FIELDS = "bytes of any kind may be fields or values"
_BARE = "what is left is text, and text is a value"
_JSON = Dialect()
_NANOSECONDS = Dialect({"clock_unset 1970": "a small number of ns is taken for s"})
_BELIEVING = {"clock_unset 2000": "ingest believes times from 1978 on"}
_NO_VALUE = {"nan nan": "it says that there is no value"}
_VALUES = Dialect(_NO_VALUE | {"malformed cut": _BARE, "malformed words": _BARE})
_TYPED = Dialect({**_VALUES.cannot, "wrong_type stored": "it says itself which metrics are numbers"})
_NUMBERED_BY_TIME = Dialect({"clock_unset nothing": "without a time, what says the same again is not stored"})
_PACKED = "its numbers are integers of few bits"
_POSITION = "its numbers are a position"
_ATTRIBUTES = "what is not a number may be text or an attribute"

DIALECTS: dict[str, Dialect] = {
    "aws-shadow": _JSON,
    "chirpstack": _JSON,
    "esphome": _TYPED,
    "home-assistant": _JSON,
    "homie": _TYPED,
    "hono": _NANOSECONDS,
    "json": _NANOSECONDS,
    "json-array": _NANOSECONDS,
    "json-flat": _JSON,
    "json-iso": _JSON,
    "line-protocol": Dialect(whole=True),
    "meshtastic": _NUMBERED_BY_TIME,
    "neuron": _JSON,
    "openmqttgateway": Dialect({"duplicate": "what several gateways have heard is stored once"}),
    "owntracks": Dialect(dict.fromkeys(("nan", "wrong_type", "spike"), _POSITION)),
    "rtl433": _NUMBERED_BY_TIME,
    "ruuvi": Dialect({**_NUMBERED_BY_TIME.cannot, **dict.fromkeys(("nan", "wrong_type", "spike rejected"), _PACKED)}),
    "senml-cbor": Dialect(
        _BELIEVING | {"malformed cut": "records before the cut are whole", "malformed encoding": "it is no text"}
    ),
    "senml-json": Dialect(_BELIEVING),
    "shelly": _JSON,
    "shelly-gen1": _VALUES,
    "smartrest": Dialect({"nan": "it is left out", "malformed cut": "columns before the cut are whole"}),
    "sparkplug": Dialect(dict.fromkeys(("malformed cut", "malformed encoding"), _FIELDS)),
    "statestream": Dialect(dict.fromkeys(("nan", "malformed"), _ATTRIBUTES)),
    "tasmota": _JSON,
    "teslamate": _VALUES,
    "things-stack": _JSON,
    "thingsboard": _JSON,
    "thingsboard-gateway": _JSON,
    "value": _VALUES,
    "victron": _JSON,
    "zigbee2mqtt": Dialect(most=4 << 20),
}
"""What is known of each format, by its name."""


def dialect(target: Target) -> Dialect:
    """Give what is known of the devices' format. Raises ValueError if nobody has tried faults with it."""
    name = target.format.name
    if name not in DIALECTS:
        raise ValueError(f"format {name}: what ingest makes of faulty values and payloads in it is not known")
    return DIALECTS[name]


def check(what: str, target: Target) -> None:
    """Raise ValueError for what the format cannot say: a kind of fault, or a kind and how it is to be."""
    cannot = dialect(target).cannot
    why = cannot.get(what) or cannot.get(what.split(" ", maxsplit=1)[0])
    if why:
        raise ValueError(f"{what}: not in format {target.format.name}: {why}")


def possible(what: str, choices: Sequence[str], target: Target) -> list[str]:
    """Give those of the choices that the format can say. Raises ValueError if it can say none."""
    found = [choice for choice in choices if f"{what} {choice}" not in dialect(target).cannot]
    check(what if found else f"{what} {choices[0]}", target)
    return found


def timed(what: str, target: Target) -> None:
    """Raise ValueError for a format whose messages have no time."""
    if not target.stored.resolution:
        raise ValueError(f"{what}: messages of format {target.format.name} have no time of their own")


def sessionless(what: str, target: Target) -> None:
    """Raise ValueError for a format whose messages are numbered by their sender's session."""
    if target.format.session:
        raise ValueError(f"{what}: not in format {target.format.name}: its messages are numbered by connection")
