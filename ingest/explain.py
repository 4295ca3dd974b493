"""What becomes of one message, and why: the way through ingest with nothing written anywhere.

It is ingest's own code that routes, decodes, admits and sorts the message; this only keeps what each of them said.
"""

import traceback
from collections.abc import Sequence
from difflib import SequenceMatcher

import msgspec

from contracts.deadletters import Reason
from contracts.devices import DeviceRecord
from contracts.readings import READING_BATCH, Reading
from contracts.streams import telemetry_subject
from ingest import filters
from ingest.admit import Admission
from ingest.context import Context
from ingest.cycle import Cycle
from ingest.descriptions import Descriptions
from ingest.limits import MAX_POINTS
from ingest.outcomes import Arrival, Decoded, Ignored, Outcome, Problems, rejected
from ingest.parts import Parts
from ingest.patience import Patience, TooSlowError
from ingest.routes import Route, Routes
from ingest.table import Row

_NEAR, _ALIKE = 0.5, 0.7
_MOST_NEAR = 3


class Explanation(msgspec.Struct, frozen=True):
    """What becomes of a message.

    `outcome` and `reason` are those that it is counted under. `filter` is the one that brought it to `route`. `stored`
    has each reading of `decoded` beside what is stored of it, None where that is nothing. `records` are those of the
    devices that the registry knows, `problems` all that were found, `refused` the devices that may not send, each with
    the reason.
    """

    arrival: Arrival
    outcome: Outcome
    reason: str
    route: Route | None = None
    filter: str = ""
    decoded: Decoded = msgspec.field(default_factory=lambda: Decoded(()))
    stored: Sequence[tuple[Reading, Reading | None]] = ()
    records: dict[str, DeviceRecord] = {}
    problems: Sequence[tuple[Reason, str]] = ()
    refused: dict[str, Reason] = {}

    @property
    def whole(self) -> bool:
        """Whether nothing of it was rejected."""
        return self.outcome is not Outcome.REJECTED and not self.problems and not self.refused


class Explainer:
    """Takes messages one after another, as ingest would, and remembers what decoders remember. `rows`: the table."""

    def __init__(
        self, rows: Sequence[Row], routes: Routes, context: Context, admission: Admission, patience: Patience
    ) -> None:
        self._rows, self._routes, self._context = rows, routes, context
        self._admission, self._patience = admission, patience

    def explain(self, arrival: Arrival) -> Explanation:
        """Take one message."""
        route = self._routes.of(arrival)
        if route is None:
            return Explanation(arrival, Outcome.IGNORED, Ignored.UNSUPPORTED)
        decoded = self._decode(arrival, route)
        self._routes.announce(self._context.memory.changes())
        outcome, reason, taken = self._count(arrival, route, decoded)
        problems = _copied(decoded.problems)
        stored: list[tuple[Reading, Reading | None]] = []
        refused: dict[str, Reason] = {}
        for reading in decoded.readings:
            device = reading.device
            if (refusal := self._admission.admit(device)) is not None:
                refused[device] = refusal
            fitted = None
            if refusal is None and (fits := self._admission.fit([reading], decoded, problems, route.name)):
                fitted = fits[0]
            if fitted is not None and device not in taken:
                refused[device], fitted = Reason.RATE_LIMITED, None
            stored.append((reading, fitted))
        if decoded.uplink is not None and outcome is Outcome.REJECTED:
            refused[decoded.uplink.device] = Reason(reason)
        found = {reading.device: self._context.record_of(reading.device) for reading in decoded.readings}
        records = {device: record for device, record in found.items() if record is not None}
        chosen = self._filter(route)
        return Explanation(arrival, outcome, reason, route, chosen, decoded, stored, records, list(problems), refused)

    def _decode(self, arrival: Arrival, route: Route) -> Decoded:
        if (refusal := route.refusal(arrival, self._context.limits)) is not None:
            return refusal
        self._patience.begin()
        try:
            self._patience.minding = arrival
            return route.decode(arrival, route, self._context)
        except TooSlowError:
            return rejected(Reason.TOO_SLOW, "reading it was given up, since it did not come to an end")
        except Exception:  # noqa: BLE001 - our bug, which ingest would survive as well
            return rejected(Reason.UNEXPECTED, traceback.format_exc())
        finally:
            self._patience.minding = None
            self._patience.end()  # its timer would go on, and end the process when Python has let go of the signal

    def _count(self, arrival: Arrival, route: Route, decoded: Decoded) -> tuple[Outcome, str, set[str]]:
        """Let ingest sort the parts: what it counts the message under, and of whom it stores something."""
        cycle = Cycle(1)
        copy = msgspec.structs.replace(decoded, problems=_copied(decoded.problems) if decoded.problems else None)
        Parts(self._admission, Descriptions(lambda _: False), _unheard, _unheard).sort(cycle, arrival, route, copy)
        [(outcome, reason)] = cycle.outcomes
        written = [body for subject, body in cycle.outgoing(MAX_POINTS) if subject == telemetry_subject(0)]
        return outcome, reason, {reading.device for body in written for reading in READING_BATCH.decode(body).readings}

    def _filter(self, route: Route) -> str:
        of_rows = [text for row in self._rows if row.name == route.name for text in row.filters]
        matching = [text for text in of_rows if filters.matches(text.split("/"), list(route.levels))]
        # A topic that has been announced is its own filter.
        return min(matching, key=lambda text: filters.specificity(text.split("/")), default="/".join(route.levels))


def _copied(problems: Problems | None) -> Problems:
    """Copy them, since admission adds to what it is given."""
    copy = Problems()
    for problem in problems or ():
        copy.add(*problem)
    return copy


def _unheard(*_: object) -> None:
    """Neither devices nor brokers hear of this."""


def off(rows: Sequence[Row], topic: str) -> list[Row]:
    """Give the rows that would take a topic, and are off."""
    levels = topic.split("/")
    return [
        row for row in rows if not row.enabled and any(filters.matches(text.split("/"), levels) for text in row.filters)
    ]


def near(rows: Sequence[Row], topic: str) -> list[tuple[str, Row]]:
    """Give the few filters that are most like a topic, each with its row; the most similar first."""
    levels = topic.split("/")
    found = []
    for row in rows:
        for text in row.filters:
            if text.startswith(("+", "#")):
                continue  # it is like any topic
            # What a wildcard stands for is as it should be, whatever it is.
            meant = [
                levels[at] if level == "+" and at < len(levels) else level for at, level in enumerate(text.split("/"))
            ]
            likeness = _ratio(topic, "/".join(meant))
            if likeness >= _NEAR and _words(text, levels) >= _ALIKE:
                found.append((likeness, text, row))
    found.sort(key=lambda entry: -entry[0])
    return [(text, row) for _, text, row in found[:_MOST_NEAR]]


def _words(text: str, levels: Sequence[str]) -> float:
    """How much of what a filter names is in a topic, at whichever level."""
    names = [level for level in text.split("/") if level not in ("", "+", "#")]
    return sum(max(_ratio(level, name) for level in levels) for name in names) / len(names) if names else 0


def _ratio(one: str, other: str) -> float:
    return SequenceMatcher(None, one[:200], other[:200]).ratio()
