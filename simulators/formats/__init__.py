"""Wire formats: how devices of each convention publish what they measure. Pure.

One file a convention; `wire` says what each promises, and `FORMATS` names them.
"""

from collections.abc import Callable

from simulators.formats.chirpstack import ChirpStack
from simulators.formats.json import ArrayJson, FlatJson, IsoJson, Json
from simulators.formats.line_protocol import LineProtocol
from simulators.formats.senml import SenmlCbor, SenmlJson
from simulators.formats.sparkplug import Sparkplug
from simulators.formats.tasmota import Tasmota
from simulators.formats.things_stack import ThingsStack
from simulators.formats.thingsboard import ThingsBoard, ThingsBoardGateway
from simulators.formats.value import OneValue
from simulators.formats.wire import Format
from simulators.formats.zigbee2mqtt import Zigbee2Mqtt

FORMATS: dict[str, Callable[[], Format]] = {
    "chirpstack": ChirpStack,
    "json": Json,
    "json-array": ArrayJson,
    "json-flat": FlatJson,
    "json-iso": IsoJson,
    "line-protocol": LineProtocol,
    "senml-cbor": SenmlCbor,
    "senml-json": SenmlJson,
    "sparkplug": Sparkplug,
    "tasmota": Tasmota,
    "things-stack": ThingsStack,
    "thingsboard": ThingsBoard,
    "thingsboard-gateway": ThingsBoardGateway,
    "value": OneValue,
    "zigbee2mqtt": Zigbee2Mqtt,
}
"""What makes each format, by its name. Parts of a fleet that share gateways share one instance: it counts for them."""


def format_named(name: str) -> Format:
    """Make a format. Raises ValueError, with the names that there are."""
    if name not in FORMATS:
        raise ValueError(f"there is no format {name!r}; there are {', '.join(sorted(FORMATS))}")
    return FORMATS[name]()
