"""Alerts against the events of a fleet, which are the truth: what was found, missed and made up, and how late. Pure."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from contracts.times import SECOND, format_time
from simulators.models.model import Event


class Alert(NamedTuple):
    """An alert that fired. `started` and `resolved` are event times, `fired` is the clock's when it did; all in ns."""

    id: str
    device: str
    started: int
    fired: int
    resolved: int | None = None


class Breach(NamedTuple):
    """Readings of an event that fulfil a rule's condition: the times of the first and the last, in ns.

    `published` is when the first was handed to the operating system.
    """

    first: int
    last: int
    published: int


class Found(NamedTuple):
    """An event and its alert. `delay` is from publishing to firing, in ns; None where no breach is known."""

    event: Event
    alert: Alert
    delay: int | None


@dataclass
class Verdict:
    """What came of events and alerts: each is in one of these lists.

    `covered` are events that began while the device's alert from an earlier one was open, so that they were told by
    it; `unseen` those of which nobody could know, for no reading that was acknowledged shows them, or not for as long
    as the rule asks for. `repeated` are further alerts of an event that had one. `spurious` alerts have no event.
    """

    found: list[Found] = field(default_factory=list)
    covered: list[Event] = field(default_factory=list)
    missed: list[Event] = field(default_factory=list)
    unseen: list[Event] = field(default_factory=list)
    repeated: list[Alert] = field(default_factory=list)
    spurious: list[Alert] = field(default_factory=list)
    names: Callable[[int], str] = str
    """What a device is called, by its number."""

    @property
    def truth(self) -> int:
        """Count the events that should have been told."""
        return len(self.found) + len(self.covered) + len(self.missed)

    @property
    def recall(self) -> float:
        """Share of the events that were told, of those that should have been; 1 where there are none."""
        return 1 - len(self.missed) / self.truth if self.truth else 1.0

    @property
    def precision(self) -> float:
        """Share of the alerts that had an event; 1 where there are none."""
        fired = len(self.found) + len(self.repeated) + len(self.spurious)
        return 1 - len(self.spurious) / fired if fired else 1.0

    @property
    def delays(self) -> list[float]:
        """Give the seconds from publishing to firing, the shortest first."""
        return sorted(one.delay / SECOND for one in self.found if one.delay is not None)

    def told(self) -> list[str]:
        """Name each event that was missed and each alert that was made up."""
        return [
            f"missed: {event.name} of {self.names(event.device)} from {format_time(event.start)} "
            f"to {format_time(event.end)}"
            for event in self.missed
        ] + [f"spurious: alert {one.id} of {one.device} from {format_time(one.started)}" for one in self.spurious]


def judge(
    events: Sequence[Event],
    alerts: Sequence[Alert],
    breach: Callable[[Event], Breach | None],
    names: Callable[[int], str],
    *,
    lasting: int = 0,
    slack: int = SECOND,
) -> Verdict:
    """Match alerts of one rule to the events that it is to find.

    `breach` says which readings of an event were published that fulfil the rule's condition, `lasting` is its `for`
    (ns). `names` gives the id under which a device is stored. An alert is an event's if it started from `slack` ns
    before it to as long after it, which is for formats that round times or carry none. Give all events that overlap
    the run, or alerts of the others are called spurious.
    """
    verdict = Verdict(names=names)
    by_device: dict[str, list[Event]] = {}
    for event in sorted(events, key=lambda event: event.start):
        by_device.setdefault(names(event.device), []).append(event)
    told: dict[str, list[Alert]] = {}
    taken: set[tuple[str, int]] = set()
    for alert in sorted(alerts, key=lambda alert: (alert.started, alert.fired)):
        told.setdefault(alert.device, []).append(alert)
        place = _place(by_device.get(alert.device, []), alert.started, slack)
        if place is None:
            verdict.spurious.append(alert)
        elif (alert.device, place) in taken:
            verdict.repeated.append(alert)
        else:
            taken.add((alert.device, place))
            event = by_device[alert.device][place]
            seen = breach(event)
            verdict.found.append(Found(event, alert, alert.fired - seen.published if seen else None))
    for device, its in by_device.items():
        for place, event in enumerate(its):
            if (device, place) not in taken:
                _untold(verdict, event, told.get(device, []), breach(event), lasting)
    return verdict


def _place(events: Sequence[Event], started: int, slack: int) -> int | None:
    """Find the event in which an alert started, or else the one that is within `slack`, rather one that is over."""
    last = bisect_right(events, started, key=lambda event: event.start) - 1
    if last >= 0 and started <= events[last].end + slack:
        return last
    if last + 1 < len(events) and events[last + 1].start - slack <= started:
        return last + 1
    return None


def _untold(verdict: Verdict, event: Event, alerts: Sequence[Alert], seen: Breach | None, lasting: int) -> None:
    if seen is None or seen.last - seen.first < lasting:
        verdict.unseen.append(event)
    elif any(one.started < event.start and (one.resolved is None or event.start < one.resolved) for one in alerts):
        verdict.covered.append(event)
    else:
        verdict.missed.append(event)
