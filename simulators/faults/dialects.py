"""What can go wrong in which wire format, and what ingest then makes of it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from simulators.faults.target import Target


class Dialect(NamedTuple):
    """One format: what it cannot say, and why.

    `whole`: a message with a bad value is rejected, all of it. `most` is the largest payload that ingest takes.
    """

    cannot: Mapping[str, str] = {}
    whole: bool = False
    most: int = 1 << 20


_NUMBERED = "its messages are numbered as they are sent, and one that is numbered has to be read"
_BARE = "what is left is text, and text is a value"
_JSON = Dialect()
_NANOSECONDS = Dialect({"clock_unset 1970": "a small number of ns is taken for s"})
_BELIEVING = {"clock_unset 2000": "ingest believes times from 1978 on"}

DIALECTS: Mapping[str, Dialect] = {
    "chirpstack": _JSON,
    "json": _NANOSECONDS,
    "json-array": _NANOSECONDS,
    "json-flat": _JSON,
    "json-iso": _JSON,
    "line-protocol": Dialect(whole=True),
    "senml-cbor": Dialect(
        _BELIEVING
        | {
            "malformed cut": "records before the cut are whole",
            "malformed encoding": "it is no text",
        }
    ),
    "senml-json": Dialect(_BELIEVING),
    "sparkplug": Dialect({"malformed cut": _NUMBERED, "malformed encoding": _NUMBERED}),
    "tasmota": _JSON,
    "things-stack": _JSON,
    "thingsboard": _JSON,
    "thingsboard-gateway": _JSON,
    "value": Dialect({"nan nan": "it says that there is no value", "malformed cut": _BARE, "malformed words": _BARE}),
    "zigbee2mqtt": Dialect(most=4 << 20),
}


def dialect(target: Target) -> Dialect:
    """Give what is known of the devices' format. Raises ValueError if nobody has tried faults with it."""
    name = target.format.name
    if name not in DIALECTS:
        raise ValueError(f"format {name}: what ingest makes of faulty values and payloads in it is not known")
    return DIALECTS[name]


def possible(what: str, choices: Sequence[str], target: Target) -> list[str]:
    """Give those of the choices that the format can say. Raises ValueError if it can say none."""
    cannot = dialect(target).cannot
    found = [choice for choice in choices if f"{what} {choice}" not in cannot]
    if not found:
        why = cannot[f"{what} {choices[0]}"]
        raise ValueError(f"{what}: not {choices[0]} in format {target.format.name}: {why}")
    return found


def timed(what: str, target: Target) -> None:
    """Raise ValueError for a format whose messages have no time."""
    if not target.stored.resolution:
        raise ValueError(f"{what}: messages of format {target.format.name} have no time of their own")


def sessionless(what: str, target: Target) -> None:
    """Raise ValueError for a format whose messages are numbered by their sender's session."""
    if target.format.session:
        raise ValueError(f"{what}: not in format {target.format.name}: its messages are numbered by connection")
