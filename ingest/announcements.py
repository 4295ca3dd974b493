"""What devices have announced: which topic holds what of which device, as it is remembered. Pure."""

import msgspec

from ingest.memory import MAX_KEY, Memory, memory_key

FAMILY = "announced"
"""Begins the keys of the topics that are announced and are to be followed."""

MOST_TOPICS = 10_000
MOST_ENTITIES = 500
"""Most entities of one config, and half the most uses of one topic."""


class Use(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one config says of a topic.

    Of a state, `metric` is what it becomes; of an availability it is empty. `template` says where the value is, `true`
    and `false` are the texts of a value that has only these. `health`: it is about the device itself.
    """

    config: str
    device: str
    metric: str = ""
    template: str = ""
    unit: str = ""
    true: str = ""
    false: str = ""
    health: bool = False


class Topic(msgspec.Struct, frozen=True):
    """A topic with all that is announced of it."""

    uses: list[Use] = []


class Config(msgspec.Struct, frozen=True):
    """What a config has brought about, so that it can be undone."""

    device: str = ""
    topics: list[str] = []
    withheld: list[str] = []
    metrics: list[str] = []


class Names(msgspec.Struct, frozen=True):
    """Who has which metric of a device."""

    owners: dict[str, str] = {}


class Announced(msgspec.Struct):
    """What stands in one config: uses and topics never read, the device's facts, and how many parts are no use."""

    device: str = ""
    uses: list[tuple[str, Use]] = []
    withheld: list[str] = []
    metrics: list[str] = []
    facts: dict[str, object] = {}
    unsupported: int = 0


def key_of(topic: str) -> str:
    """Key under which what is announced of a topic is remembered."""
    return memory_key(FAMILY, topic)


def withheld_key(topic: str) -> str:
    """Key of a topic that is a command's: it is never read."""
    return memory_key("withheld", topic)


def use_of(memory: Memory, topic: str) -> Use | None:
    """Give what is announced of a topic that holds one plain value; None if nothing is."""
    known = memory.get(key_of(topic), Topic)
    return next((use for use in known.uses if use.metric and not use.template), None) if known else None


def names_key(device: str) -> str:
    """Key under which it is remembered who has which metric of a device."""
    return memory_key("discovery", device, "metrics")


def claim(memory: Memory, key: str, metric: str, owner: str, otherwise: str) -> str:
    """Give the name of a metric: `metric`, or `otherwise` if another than `owner` has it. It is kept from then on.

    `key` is that of the device's Names.
    """
    known = memory.get(key, Names) or Names()
    first = known.owners.get(metric)
    if first is None and len(known.owners) < MOST_ENTITIES:
        memory.put(key, Names(known.owners | {metric: owner}))
    return metric if first in (None, owner) else otherwise


def learn(memory: Memory, config: str, found: Announced | None) -> int:
    """Remember what a config announces in place of what it did before; returns how many uses were refused.

    None if it announces nothing any more.
    """
    before = memory.get(_config_key(config), Config) or Config()
    refused = 0
    uses: dict[str, list[Use]] = {}
    for topic, use in found.uses if found else ():
        uses.setdefault(topic, []).append(use)
    for topic in (*uses, *(topic for topic in before.topics if topic not in uses)):
        known = memory.get(key_of(topic), Topic)
        if known is None and memory.count(FAMILY) >= MOST_TOPICS:
            refused += len(uses.pop(topic, ()))
            continue
        others = [use for use in known.uses if use.config != config] if known else []
        mine = uses.get(topic, [])[: max(2 * MOST_ENTITIES - len(others), 0)]
        refused += len(uses.get(topic, ())) - len(mine)
        if known is None or [use for use in known.uses if use.config == config] != mine:
            _replace(memory, key_of(topic), others + mine)
    withheld = found.withheld if found else []
    for topic in {*withheld, *before.withheld}:
        known = memory.get(withheld_key(topic), Topic) or Topic()
        others = [use for use in known.uses if use.config != config]
        if known.uses or memory.count("withheld") < MOST_TOPICS:
            _replace(memory, withheld_key(topic), others + ([Use(config, "")] if topic in withheld else []))
    _disown(memory, before, found)
    if found is None or not (uses or withheld):
        memory.forget(_config_key(config))
    else:
        memory.put(_config_key(config), Config(found.device, list(uses), withheld, found.metrics))
    return refused


def can_be_learnt(config: str) -> bool:
    """Whether the topic of a config is short enough to be remembered."""
    return len(_config_key(config)) <= MAX_KEY


def _config_key(config: str) -> str:
    return memory_key("discovery", config)


def _replace(memory: Memory, key: str, uses: list[Use]) -> None:
    if uses:
        memory.put(key, Topic(uses))
    else:
        memory.forget(key)


def _disown(memory: Memory, before: Config, found: Announced | None) -> None:
    """Let go of the metrics that a config has no longer."""
    kept = found.metrics if found and found.device == before.device else []
    gone = [metric for metric in before.metrics if metric not in kept]
    known = memory.get(names_key(before.device), Names) if gone else None
    if known is not None:
        owners = {metric: owner for metric, owner in known.owners.items() if metric not in gone}
        memory.put(names_key(before.device), Names(owners))
