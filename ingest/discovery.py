"""Configs of Home Assistant discovery: what stands in one. Pure.

Short keys and `~` are resolved here. Whoever may publish under the discovery prefix says whose values a topic holds:
that is for the broker's access rules to allow. What no device of theirs can own is refused.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from contracts.topics import device_id_problem
from ingest import identity, templates
from ingest.announcements import MOST_ENTITIES, Announced, Use, claim, key_of, names_key
from ingest.memory import MAX_KEY, Memory
from ingest.plain import label

_LONGEST_TOPIC = 256
_SHORT = {
    "stat_t": "state_topic", "val_tpl": "value_template", "stat_val_tpl": "value_template",
    "state_value_template": "value_template", "stat_tpl": "value_template", "state_template": "value_template",
    "unit_of_meas": "unit_of_measurement", "dev_cla": "device_class",
    "stat_cla": "state_class", "ent_cat": "entity_category", "exp_aft": "expire_after", "p": "platform",
    "pl_on": "payload_on", "pl_off": "payload_off", "stat_on": "state_on", "stat_off": "state_off",
    "avty": "availability", "avty_t": "availability_topic", "avty_tpl": "availability_template",
    "pl_avail": "payload_available", "pl_not_avail": "payload_not_available", "t": "topic", "cmps": "components",
    "cmd_t": "command_topic", "dev": "device", "ids": "identifiers",
    "cns": "connections", "mf": "manufacturer", "mdl": "model", "sw": "sw_version", "hw": "hw_version",
    "curr_temp_t": "current_temperature_topic", "curr_temp_tpl": "current_temperature_template",
    "curr_hum_t": "current_humidity_topic", "curr_hum_tpl": "current_humidity_template",
    "temp_stat_t": "temperature_state_topic", "temp_stat_tpl": "temperature_state_template",
    "temp_lo_stat_t": "temperature_low_state_topic", "temp_lo_stat_tpl": "temperature_low_state_template",
    "temp_hi_stat_t": "temperature_high_state_topic", "temp_hi_stat_tpl": "temperature_high_state_template",
    "hum_stat_t": "target_humidity_state_topic", "hum_state_tpl": "target_humidity_state_template",
    "mode_stat_t": "mode_state_topic", "mode_stat_tpl": "mode_state_template",
    "fan_mode_stat_t": "fan_mode_state_topic", "fan_mode_stat_tpl": "fan_mode_state_template",
    "swing_mode_stat_t": "swing_mode_state_topic", "swing_mode_stat_tpl": "swing_mode_state_template",
    "pr_mode_stat_t": "preset_mode_state_topic", "pr_mode_val_tpl": "preset_mode_value_template",
    "act_t": "action_topic", "act_tpl": "action_template", "pos_t": "position_topic", "pos_tpl": "position_template",
    "bri_stat_t": "brightness_state_topic", "bri_val_tpl": "brightness_value_template",
    "clr_temp_stat_t": "color_temp_state_topic", "clr_temp_val_tpl": "color_temp_value_template",
    "pct_stat_t": "percentage_state_topic", "pct_val_tpl": "percentage_value_template",
    "osc_stat_t": "oscillation_state_topic", "osc_val_tpl": "oscillation_value_template",
    "dir_stat_t": "direction_state_topic", "dir_val_tpl": "direction_value_template",
    "tilt_status_t": "tilt_status_topic", "tilt_status_tpl": "tilt_status_template",
    "temp_unit": "temperature_unit", "set_pos_t": "set_position_command_topic",
    "set_position_topic": "set_position_command_topic",
}  # fmt: skip
_STATES = (
    ("state_topic", "value_template", ""),
    ("current_temperature_topic", "current_temperature_template", "current_temperature"),
    ("current_humidity_topic", "current_humidity_template", "current_humidity"),
    ("temperature_state_topic", "temperature_state_template", "temperature"),
    ("temperature_low_state_topic", "temperature_low_state_template", "temperature_low"),
    ("temperature_high_state_topic", "temperature_high_state_template", "temperature_high"),
    ("target_humidity_state_topic", "target_humidity_state_template", "target_humidity"),
    ("mode_state_topic", "mode_state_template", "mode"),
    ("fan_mode_state_topic", "fan_mode_state_template", "fan_mode"),
    ("swing_mode_state_topic", "swing_mode_state_template", "swing_mode"),
    ("preset_mode_state_topic", "preset_mode_value_template", "preset_mode"),
    ("action_topic", "action_template", "action"),
    ("position_topic", "position_template", "position"),
    ("brightness_state_topic", "brightness_value_template", "brightness"),
    ("color_temp_state_topic", "color_temp_value_template", "color_temp"),
    ("percentage_state_topic", "percentage_value_template", "percentage"),
    ("oscillation_state_topic", "oscillation_value_template", "oscillation"),
    ("direction_state_topic", "direction_value_template", "direction"),
    ("tilt_status_topic", "tilt_status_template", "tilt"),
)
_TWO_WORDS = frozenset({"binary_sensor", "switch", "light", "fan", "siren", "humidifier"})
_NO_STATES = frozenset({"event", "tag", "camera", "image", "device_automation", "button", "scene", "notify", "update"})
_COMMANDS = ("command_topic", "cmd_t")
_DEGREES = ("temperature", "temperature_low", "temperature_high")
_HEALTH = frozenset({"battery", "signal_strength"})
_DEVICE_FACTS = {"name": "name", "manufacturer": "manufacturer", "model": "model", "sw_version": "firmware"}
_FACTS = {"unit_of_measurement": "unit", "device_class": "class", "state_class": "state_class", "name": "name"}


def read(memory: Memory, config: str, levels: tuple[str, ...], body: Mapping[str, object]) -> Announced:
    """Read a config; `levels` are its topic's between the prefix and `config`."""
    fields = _long(body)
    device = _device_id(fields.get("device"), levels)
    out = Announced(device, facts=_device_facts(fields.get("device")))
    if device_id_problem(device) is not None:
        return Announced(unsupported=1)
    for number, (platform, name, entity) in enumerate(_entities(levels, fields)):
        if platform in _NO_STATES or number >= MOST_ENTITIES or not name:
            out.unsupported += 1
            continue
        _read_entity(memory, out, config, (platform, name, levels), entity)
    return out


def _long(fields: object) -> dict[str, Any]:
    """Give the fields of an object under their long names."""
    if not isinstance(fields, Mapping):
        return {}
    return {_SHORT.get(name, name): value for name, value in fields.items() if isinstance(name, str)}


def _device_id(device: object, levels: tuple[str, ...]) -> str:
    """Give a device's id: its first identifier, else its first connection, else that of its topic."""
    fields = _long(device)
    identifiers = fields.get("identifiers")
    first = identifiers[0] if isinstance(identifiers, list) and identifiers else identifiers
    if given := label(str(first) if type(first) in (str, int) else None):
        return identity.spell(given)
    match fields.get("connections"):
        case [[str(kind), str(address)], *_] if given := label(address):
            return identity.spell((identity.mac(given) if kind == "mac" else None) or given)
    return identity.spell(levels[-2] if len(levels) > 2 else levels[-1])  # noqa: PLR2004 - component/node/object


def _device_facts(device: object) -> dict[str, object]:
    fields = _long(device)
    return {fact: text for field, fact in _DEVICE_FACTS.items() if (text := label(fields.get(field)))}


def _entities(levels: tuple[str, ...], fields: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Give platform, name and fields of each entity of a config."""
    if levels[0] != "device":
        yield levels[0], levels[-1], fields
        return
    shared = {name: value for name, value in fields.items() if name not in ("device", "components")}
    components = fields.get("components")
    for name, given in components.items() if isinstance(components, dict) else ():
        entity = _long(given)
        if entity.keys() - {"platform"}:  # one that has only its platform has been removed
            yield label(entity.get("platform")), label(name), shared | entity


def _read_entity(
    memory: Memory, out: Announced, config: str, named: tuple[str, str, tuple[str, ...]], entity: dict[str, Any]
) -> None:
    platform, name, levels = named
    device = out.device
    commands = [
        topic for field, text in entity.items() if field.endswith(_COMMANDS) and (topic := _topic(text, entity))
    ]
    out.withheld += [topic for topic in commands if _usable(topic, device)]
    states = [(entry, topic) for entry in _STATES if (topic := _topic(entity.get(entry[0]), entity))]
    states = [(entry, topic) for entry, topic in states if topic not in commands]
    if not states:
        return
    otherwise = ".".join((*levels, name) if levels[0] == "device" else levels)
    metric = claim(memory, names_key(device), name, f"{config} {name}", otherwise)
    out.metrics.append(metric)
    for (_, where, part), topic in states:
        template = entity.get(where)
        text = template.strip() if isinstance(template, str) else ""
        wrong = not _usable(topic, device) or (text and templates.parse(text) is None)
        if wrong:
            out.unsupported += 1
            if text and label(text, 1_000):
                out.facts[f"unsupported.{metric}"] = text
            continue
        use = Use(config, device, f"{metric}.{part}" if part else metric, text, health=_is_health(entity))
        out.uses.append((topic, _with_words(platform, use, entity) if not part else _in_degrees(part, use, entity)))
    out.facts |= {f"{fact}.{metric}": text for field, fact in _FACTS.items() if (text := label(entity.get(field)))}
    if type(seconds := entity.get("expire_after")) in (int, float):
        out.facts[f"interval.{metric}"] = seconds
    if (availability := _availability(config, device, entity)) is not None and availability not in out.uses:
        out.uses.append(availability)


def _is_health(entity: dict[str, Any]) -> bool:
    """Whether an entity is about the device itself."""
    return entity.get("entity_category") == "diagnostic" or label(entity.get("device_class")) in _HEALTH


def _in_degrees(part: str, use: Use, entity: dict[str, Any]) -> Use:
    """Give the unit of a thermostat's temperatures."""
    unit = label(entity.get("temperature_unit"), 32) if part.endswith(_DEGREES) else ""
    return msgspec.structs.replace(use, unit=unit)


def _with_words(platform: str, use: Use, entity: dict[str, Any]) -> Use:
    """Give the unit of a state, and the words of one that has only two."""
    use = msgspec.structs.replace(use, unit=label(entity.get("unit_of_measurement"), 32))
    if platform not in _TWO_WORDS:
        return use
    true = _word(entity.get("state_on", entity.get("payload_on", "ON")))
    false = _word(entity.get("state_off", entity.get("payload_off", "OFF")))
    return msgspec.structs.replace(use, true=true, false=false)


def _availability(config: str, device: str, entity: dict[str, Any]) -> tuple[str, Use] | None:
    """Give the topic that says whether a device is online: of several the last, for gateways stand first."""
    listed = entity.get("availability")
    last = _long(listed[-1] if isinstance(listed, list) and listed else listed)
    fields = {**entity, **last} if last else entity
    topic = _topic(last.get("topic") or entity.get("availability_topic"), entity)
    template = last.get("value_template") if last else entity.get("availability_template")
    text = template.strip() if isinstance(template, str) else ""
    if not topic or not _usable(topic, device) or (text and templates.parse(text) is None):
        return None
    true = _word(fields.get("payload_available", "online"))
    return topic, Use(config, device, "", text, "", true, _word(fields.get("payload_not_available", "offline")))


def _word(value: object) -> str:
    """Give a payload as a template would write it."""
    return label(str(value), 64)


def _topic(text: object, entity: dict[str, Any]) -> str:
    """Give a topic in full: a `~` that begins or ends it stands for the base; empty if it is none."""
    topic, base = label(text, _LONGEST_TOPIC), label(entity.get("~"), _LONGEST_TOPIC)
    if topic.startswith("~"):
        topic = base + topic[1:]
    return topic[:-1] + base if topic.endswith("~") else topic


def _usable(topic: str, device: str) -> bool:
    """Whether a topic may be one of this device: no wildcard, none of the broker's, and none of another device's."""
    levels = topic.split("/")
    if not topic or topic.startswith("$") or set("+#") & set(topic) or len(key_of(topic)) > MAX_KEY:
        return False
    return levels[0] != "devices" or (levels[1:2] == [device] and levels[2:] != ["errors"])
