"""Topics: which route a message takes, told by its topic alone. Pure."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec

from contracts.deadletters import Reason
from contracts.streams import partition_of
from contracts.topics import device_id_problem, is_told
from ingest import filters, formats, table
from ingest.announcements import FAMILY, MOST_TOPICS
from ingest.identity import Template
from ingest.limits import Limits
from ingest.memory import parts_of
from ingest.outcomes import Arrival, Decoded, rejected
from ingest.table import Row

if TYPE_CHECKING:
    from ingest.context import Context

_MOST_REMEMBERED = 65_536
_LONGEST_REMEMBERED = 512
_ANNOUNCED = f"{FAMILY}."


class Route(msgspec.Struct, frozen=True):
    """What becomes of the messages of one topic.

    `name` and `decoder` as in the routing table. `levels`: the topic's, and `base` how many of them stand before the
    filter's first wildcard. `device`: what the route's template gives, empty where that leaves it to the decoder;
    `problem`: why that cannot be a device id, or None; `partition` is that device's. `ahead` in ns.
    """

    name: str
    decoder: str
    decode: "Callable[[Arrival, Route, Context], Decoded]"
    levels: tuple[str, ...]
    base: int
    options: msgspec.Struct
    device: str = ""
    problem: str | None = None
    partition: int = 0
    zone: ZoneInfo | None = None
    ahead: int = 0
    payload_bytes: int | None = None

    def refusal(self, arrival: Arrival, limits: Limits) -> Decoded | None:
        """Reject a message that no decoder is to see: its device cannot be one, or its payload is too large."""
        if self.problem is not None:
            return rejected(Reason.BAD_DEVICE, f"the device id {self.problem}")
        size, allowed = len(arrival.payload), self.payload_bytes or limits.payload_bytes
        if size > allowed:
            return rejected(Reason.TOO_LARGE, f"the payload is {size} bytes long; {allowed} are allowed")
        return None


class _Rule:
    """One filter of a row of the table, ready to be matched."""

    def __init__(self, row: Row, text: str, ahead: int) -> None:
        self.row, self.filter, self.levels = row, text, text.split("/")
        self.base = next((at for at, level in enumerate(self.levels) if level in ("+", "#")), len(self.levels))
        self.template = Template(row.device)
        self.zone = table.zone(row.zone)
        self.ahead = ahead if row.ahead_seconds is None else int(row.ahead_seconds * 1e9)


class Routes:
    """The routing table at work. Remembers the routes of the topics that were seen: devices repeat theirs.

    `ahead`: how many ns a device's clock may be ahead of ours, where a row does not say.
    """

    def __init__(self, rows: Iterable[Row], ahead: int) -> None:
        self.partitions, self._ahead = 1, ahead
        rules = [_Rule(row, text, ahead) for row in rows if row.enabled for text in row.filters]
        self._rules = sorted(rules, key=lambda rule: filters.specificity(rule.levels))
        built_in = [_Rule(row, text, ahead) for row in table.built_in() for text in row.filters]
        # A filter that begins with a wildcard says too little: topics of many kinds end in `state` or `status`.
        telling = [rule for rule in built_in if rule.row.decoder != "auto" and rule.levels[0] not in ("+", "#")]
        self._shapes = sorted(telling, key=lambda rule: filters.specificity(rule.levels))
        self._announced: set[str] = set()
        self._known: dict[str, Route | None] = {}

    @property
    def filters(self) -> list[str]:
        """Give the filters to subscribe to: none is covered by another."""
        return filters.fewest([*(rule.filter for rule in self._rules), *sorted(self._announced)])

    @property
    def ordered(self) -> list[str]:
        """Give those filters by which messages come whose decoders need all of them, in order; the rest is `others`."""
        return [text for text in self.filters if self._is_ordered(text)]

    @property
    def others(self) -> list[str]:
        """Give those filters by which messages come that any of several ingests may take."""
        return [text for text in self.filters if not self._is_ordered(text)]

    def _is_ordered(self, text: str) -> bool:
        levels = text.split("/")
        if text in self._announced:
            return True
        decoders = {rule.row.decoder for rule in self._rules if filters.covers(levels, rule.levels)}
        if "auto" in decoders:  # there the shape of a topic tells the decoder
            decoders |= {shape.row.decoder for shape in self._shapes if filters.overlap(levels, shape.levels)}
        return not decoders.isdisjoint(formats.ORDERED)

    def announce(self, changes: Iterable[tuple[str, bytes | None]]) -> bool:
        """Take in, out of what decoders have learnt, which topics are announced, and which are no longer (None).

        Returns whether there are other filters now. A topic that the table has a row for is that row's.
        """
        changed = False
        for key, entry in changes:
            if not key.startswith(_ANNOUNCED):
                continue
            [_, topic] = parts_of(key)
            if (entry is not None) == (topic in self._announced):
                continue
            if entry is None:
                self._announced.discard(topic)
            elif len(self._announced) < MOST_TOPICS and self._rule(topic.split("/")) is None:
                self._announced.add(topic)
            else:
                continue
            self._known.pop(topic, None)
            changed = True
        return changed

    def divide(self, partitions: int) -> None:
        """Set how many partitions the stream has."""
        self.partitions = partitions
        self._known.clear()

    def of(self, arrival: Arrival) -> Route | None:
        """Give the route of a message; None where the table has none."""
        try:
            return self._known[arrival.topic]
        except KeyError:
            return self._find(arrival)

    def _find(self, arrival: Arrival) -> Route | None:
        topic = arrival.topic
        levels = topic.split("/")
        if is_told(levels):  # an operator's wide filter also brings what devices are told
            return self._remember(topic, None)
        rule = self._rule(levels)
        if rule is None:
            return self._remember(topic, self._of_announced(levels) if topic in self._announced else None)
        device = rule.template.fill(levels, arrival.properties)
        decoder, base, options = rule.row.decoder, rule.base, rule.row.options
        if decoder == "auto" and (shape := self._shape(levels)) is not None:
            decoder, base, options = shape.row.decoder, shape.base, shape.row.options
            device = device or shape.template.fill(levels, arrival.properties)
        route = Route(
            rule.row.name,
            decoder,
            formats.load(decoder).decode,
            tuple(levels),
            base,
            formats.options(decoder, options),
            device,
            device_id_problem(device) if device or (rule.row.device and rule.template.from_topic) else None,
            partition_of(device, self.partitions),
            rule.zone,
            rule.ahead,
            rule.row.payload_bytes,
        )
        return self._remember(topic, route) if rule.template.from_topic else route

    def _rule(self, levels: list[str]) -> _Rule | None:
        """Find the row that takes a topic, by the filter that says most."""
        return next((rule for rule in self._rules if filters.matches(rule.levels, levels)), None)

    def _of_announced(self, levels: list[str]) -> Route:
        """Give the route of a topic that no row takes and discovery has announced."""
        decode = formats.load(FAMILY).decode
        return Route(FAMILY, FAMILY, decode, tuple(levels), len(levels), formats.NoOptions(), ahead=self._ahead)

    def _shape(self, levels: list[str]) -> _Rule | None:
        """Find the built-in route that a topic looks like, also where that one is off."""
        return next((rule for rule in self._shapes if filters.matches(rule.levels, levels)), None)

    def _remember(self, topic: str, route: Route | None) -> Route | None:
        if len(topic) <= _LONGEST_REMEMBERED:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            self._known[topic] = route
        return route
