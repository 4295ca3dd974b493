"""Zigbee2MQTT: `zigbee2mqtt/{name}`, all that the bridge knows of a device, with `last_seen` in ms.

Names are the devices' addresses, as they are until somebody renames them: so they are known whichever of its devices
the bridge has listed last.
"""

import json
from collections.abc import Mapping, Sequence

from simulators.formats.plain import Plain, said
from simulators.formats.texts import joined, objects
from simulators.formats.wire import Encoded, Rows, Stored
from simulators.formats.words import without
from simulators.models.model import Metric
from simulators.plan.devices import Device

_MS = 1_000_000
_MOST_LISTED = 1_000
"""Most devices in one list, so that it does not become larger than anybody takes."""

_KINDS = {"boolean": "binary", "text": "text", "number": "numeric"}

_MEANT_OTHERWISE = {"last_seen", "update", "update_available", "device"}


class Zigbee2Mqtt(Plain):
    """`bridge/devices` lists those whose connection is new, and what they measure; `availability` says `online`."""

    name = "zigbee2mqtt"

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store everything under the device's address."""
        return Stored(_address(device), {metric: metric for metric in without(metrics, _MEANT_OTHERWISE)}, _MS)

    def encode(self, rows: Rows) -> Encoded:
        """Write readings."""
        found = objects(without(rows.columns, _MEANT_OTHERWISE), len(rows.devices))
        return Encoded(
            [b"zigbee2mqtt/" + _address(device).encode() for device in rows.devices],
            [
                values if ts is None else joined(b'"last_seen":%d' % (ts // _MS), values)
                for ts, values in zip(rows.ts, found, strict=True)
            ],
        )

    def opening(self, rows: Rows) -> Encoded:
        """List the devices, and say `online` of each."""
        if not rows.devices:
            return said([], [], [])
        exposes = [_expose(name, metric) for name, metric in rows.metrics.items()]
        listed = [
            {
                "ieee_address": _address(device),
                "friendly_name": _address(device),
                "type": "EndDevice",
                "definition": {"model": "FLEET-1", "vendor": "Sensorium", "description": device.id, "exposes": exposes},
            }
            for device in rows.devices[:_MOST_LISTED]
        ]
        there = _availability(rows.devices, "online")
        topics = [b"zigbee2mqtt/bridge/devices", *there.topics]
        payloads = [json.dumps(listed).encode(), *there.payloads]
        return said(topics, payloads, [0, *range(len(rows.devices))], retain=True)

    def closing(self, devices: Sequence[Device]) -> Encoded:
        """Say `offline`."""
        return _availability(devices, "offline")


def _availability(devices: Sequence[Device], state: str) -> Encoded:
    count = len(devices)
    topics = [f"zigbee2mqtt/{_address(device)}/availability".encode() for device in devices]
    return said(topics, [b'{"state":"%b"}' % state.encode()] * count, [*range(count)], retain=True)


def _expose(name: str, metric: Metric) -> dict[str, object]:
    words = {"value_on": True, "value_off": False} if metric.type == "boolean" else {}
    unit = {"unit": metric.unit} if metric.unit else {}
    return {"type": _KINDS[metric.type], "name": name, "property": name, "access": 1} | words | unit


def _address(device: Device) -> str:
    return f"0x00158d{device.number:010x}"
