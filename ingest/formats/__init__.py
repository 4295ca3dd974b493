"""The decoders, one file each, found by their names. A file is loaded when its decoder is first needed.

To add one: write the file with its `FORMAT`, add its name here, and its routes to routes.toml.
"""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec

from ingest.outcomes import Arrival, Decoded

if TYPE_CHECKING:
    from ingest.context import Context
    from ingest.routes import Route

NAMES = (
    "announced",
    "auto",
    "aws_shadow",
    "chirpstack",
    "discovery",
    "esphome",
    "homie",
    "hono",
    "json",
    "line_protocol",
    "meshtastic",
    "neuron",
    "openmqttgateway",
    "owntracks",
    "rtl433",
    "ruuvi",
    "senml",
    "shelly",
    "shelly_gen1",
    "smartrest",
    "sparkplug",
    "statestream",
    "status",
    "tasmota",
    "teslamate",
    "things_stack",
    "thingsboard",
    "thingsboard_gateway",
    "uplink",
    "value",
    "victron",
    "zigbee2mqtt",
)
"""Every decoder, by the name that a routing table uses; a file of this folder has the same."""


ORDERED = frozenset({"announced", "discovery", "esphome", "homie", "sparkplug", "statestream", "uplink", "zigbee2mqtt"})
"""Those of which one of several ingests has to see all messages, in order: they remember what devices said before, or
pass on what replaces what was said before."""


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of a decoder that has none."""


class Format(msgspec.Struct, frozen=True):
    """A decoder: what it makes of a message, and the type of its options.

    `decode` never raises for any payload or topic that its routes match, and touches nothing but what it is given.
    """

    decode: "Callable[[Arrival, Route, Context], Decoded]"
    options: type[msgspec.Struct] = NoOptions


@cache
def load(name: str) -> Format:
    """Give the decoder with this name, one of NAMES."""
    found = import_module(f"ingest.formats.{name}").FORMAT
    assert isinstance(found, Format)  # noqa: S101 - our own files
    return found


def options(name: str, given: Mapping[str, Any]) -> msgspec.Struct:
    """Read a decoder's options. Raises ValueError that names the option."""
    return msgspec.convert(given, load(name).options)
