"""What a Zigbee2MQTT bridge says of its network: names, units, which values are two words. Pure."""

from collections.abc import Iterator
from typing import Any

import msgspec

from ingest.memory import Memory, memory_key
from ingest.plain import label

MOST_DEVICES = 2_000
MOST_PROPERTIES = 500
"""Most properties of a device that are looked at."""

_DEPTH = 4
_FACTS = {"model": "model", "vendor": "manufacturer", "description": "description"}


class Network(msgspec.Struct, frozen=True):
    """The devices of a bridge, IEEE address by name, and the names of its groups."""

    names: dict[str, str] = {}
    groups: frozenset[str] = frozenset()


class Device(msgspec.Struct, frozen=True):
    """What is known of a device's properties, which are named as metrics are.

    `units` by property; `words`: those that have only two texts, the one that means true first; `health`: those about
    the device itself; `nested`: those with a dot in their names.
    """

    units: dict[str, str] = {}
    words: dict[str, tuple[str, str]] = {}
    health: list[str] = []
    nested: list[str] = []


def network_key(base: str) -> str:
    """Key under which a bridge's Network is remembered."""
    return memory_key("zigbee2mqtt", base)


def device_key(base: str, device: str) -> str:
    """Key under which a Device is remembered."""
    return memory_key("zigbee2mqtt", base, device)


def learn_devices(memory: Memory, base: str, listed: list[Any]) -> list[tuple[str, dict[str, object]]]:
    """Remember the devices of a bridge, as `bridge/devices` lists them; returns each one's address and facts."""
    names: dict[str, str] = {}
    told: list[tuple[str, dict[str, object]]] = []
    for entry in listed[:MOST_DEVICES]:
        if not isinstance(entry, dict):
            continue
        name, address = label(entry.get("friendly_name")), label(entry.get("ieee_address")).lower()
        if not name or not address or entry.get("type") == "Coordinator":
            continue
        names[name] = address
        definition = entry.get("definition")
        definition = definition if isinstance(definition, dict) else {}
        device = _device(definition.get("exposes"))
        memory.put(device_key(base, address), device)
        told.append((address, _facts(name, entry, definition, device)))
    known = memory.get(network_key(base), Network) or Network()
    for gone in set(known.names.values()) - set(names.values()):
        memory.forget(device_key(base, gone))
        memory.forget(memory_key("zigbee2mqtt", base, gone, "last"))
    memory.put(network_key(base), msgspec.structs.replace(known, names=names))
    return told


def learn_groups(memory: Memory, base: str, listed: list[Any]) -> None:
    """Remember the names of a bridge's groups, as `bridge/groups` lists them."""
    entries = [entry for entry in listed[:MOST_DEVICES] if isinstance(entry, dict)]
    groups = frozenset(name for entry in entries if (name := label(entry.get("friendly_name"))))
    known = memory.get(network_key(base), Network) or Network()
    memory.put(network_key(base), msgspec.structs.replace(known, groups=groups))


def _facts(name: str, entry: dict[str, Any], definition: dict[str, Any], device: Device) -> dict[str, object]:
    facts: dict[str, object] = {"name": name}
    facts |= {fact: text for field, fact in _FACTS.items() if (text := label(definition.get(field)))}
    facts |= {f"unit.{metric}": unit for metric, unit in device.units.items()}
    if firmware := label(entry.get("software_build_id")):
        facts["firmware"] = firmware
    return facts


def _device(exposes: object) -> Device:
    units: dict[str, str] = {}
    words: dict[str, tuple[str, str]] = {}
    health: list[str] = []
    nested: list[str] = []
    for number, (path, expose) in enumerate(_properties(exposes, "", 0)):
        if number >= MOST_PROPERTIES:
            break
        if unit := label(expose.get("unit"), 32):
            units[path] = unit
        true, false = label(expose.get("value_on")), label(expose.get("value_off"))
        if expose.get("type") == "binary" and true and false:
            words[path] = true, false
        if expose.get("category") == "diagnostic":
            health.append(path)
        if "." in path:
            nested.append(path)
    return Device(units, words, health, nested)


def _properties(exposes: object, prefix: str, depth: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Walk through the properties; those of a composite are inside its own."""
    for expose in exposes if isinstance(exposes, list) else []:
        if not isinstance(expose, dict):
            continue
        name = label(expose.get("property"))
        features = expose.get("features")
        if features is None:
            if name:
                yield prefix + name, expose
        elif depth < _DEPTH:
            inside = f"{prefix}{name}." if name and expose.get("type") == "composite" else prefix
            yield from _properties(features, inside, depth + 1)
