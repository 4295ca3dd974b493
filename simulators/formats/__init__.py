"""Wire formats: how devices of each convention publish what they measure. Pure.

One file a convention; `wire` says what each promises, and `FORMATS` names them.
"""

from collections.abc import Callable

from simulators.formats.aws_shadow import AwsShadow
from simulators.formats.chirpstack import ChirpStack
from simulators.formats.esphome import EspHome
from simulators.formats.home_assistant import HomeAssistant
from simulators.formats.homie import Homie
from simulators.formats.hono import Hono
from simulators.formats.json import ArrayJson, FlatJson, IsoJson, Json
from simulators.formats.line_protocol import LineProtocol
from simulators.formats.meshtastic import Meshtastic
from simulators.formats.neuron import Neuron
from simulators.formats.openmqttgateway import OpenMqttGateway
from simulators.formats.owntracks import OwnTracks
from simulators.formats.rtl433 import Rtl433
from simulators.formats.ruuvi import Ruuvi
from simulators.formats.senml import SenmlCbor, SenmlJson
from simulators.formats.shelly import Shelly
from simulators.formats.shelly_gen1 import ShellyGen1
from simulators.formats.smartrest import SmartRest
from simulators.formats.sparkplug import Sparkplug
from simulators.formats.statestream import Statestream
from simulators.formats.tasmota import Tasmota
from simulators.formats.teslamate import TeslaMate
from simulators.formats.things_stack import ThingsStack
from simulators.formats.thingsboard import ThingsBoard, ThingsBoardGateway
from simulators.formats.value import OneValue
from simulators.formats.victron import Victron
from simulators.formats.wire import Format
from simulators.formats.zigbee2mqtt import Zigbee2Mqtt

FORMATS: dict[str, Callable[[], Format]] = {
    "aws-shadow": AwsShadow,
    "chirpstack": ChirpStack,
    "esphome": EspHome,
    "home-assistant": HomeAssistant,
    "homie": Homie,
    "hono": Hono,
    "json": Json,
    "json-array": ArrayJson,
    "json-flat": FlatJson,
    "json-iso": IsoJson,
    "line-protocol": LineProtocol,
    "meshtastic": Meshtastic,
    "neuron": Neuron,
    "openmqttgateway": OpenMqttGateway,
    "owntracks": OwnTracks,
    "rtl433": Rtl433,
    "ruuvi": Ruuvi,
    "senml-cbor": SenmlCbor,
    "senml-json": SenmlJson,
    "shelly": Shelly,
    "shelly-gen1": ShellyGen1,
    "smartrest": SmartRest,
    "sparkplug": Sparkplug,
    "statestream": Statestream,
    "tasmota": Tasmota,
    "teslamate": TeslaMate,
    "things-stack": ThingsStack,
    "thingsboard": ThingsBoard,
    "thingsboard-gateway": ThingsBoardGateway,
    "value": OneValue,
    "victron": Victron,
    "zigbee2mqtt": Zigbee2Mqtt,
}
"""What makes each format, by its name. Parts of a fleet that share gateways share one instance: it counts for them."""


def format_named(name: str) -> Format:
    """Make a format. Raises ValueError, with the names that there are."""
    if name not in FORMATS:
        raise ValueError(f"there is no format {name!r}; there are {', '.join(sorted(FORMATS))}")
    return FORMATS[name]()
