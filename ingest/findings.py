"""What is found in one message, collected under the rules that hold for every convention. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from contracts.deadletters import Reason
from contracts.readings import Reading, Value
from contracts.topics import MAX_DEVICE_ID, device_id_problem
from contracts.units import canonical
from ingest.context import Context
from ingest.outcomes import Arrival, Decoded, Ignored, Problems, State
from ingest.routes import Route
from ingest.times import EARLIEST, NO_FLAGS, BadTimeError, event_time
from ingest.values import Flattener, shown

SECONDS, MILLISECONDS, MICROSECONDS, NANOSECONDS = 1_000_000_000, 1_000_000, 1_000, 1
"""Units of time that a convention fixes, in ns."""

HEALTH = {"health": ""}
"""Flag of what a device says of itself rather than of what it measures: radio, uptime, battery."""

_NO_UNITS: dict[str, str] = {}
_MOST_FACTS = 1_000  # of a device
_MOST_TOLD = 20_000  # facts of all its devices
_FACT_CHARACTERS = 1_000
_UNIT_CHARACTERS = 64

_problem_of = lru_cache(maxsize=65_536)(device_id_problem)


def _device_problem(device: str) -> str | None:
    """Why `device` cannot be a device id, or None; remembered only where it may well be one."""
    return _problem_of(device) if len(device) <= MAX_DEVICE_ID else device_id_problem(device)


@dataclass(frozen=True, slots=True)
class Moment:
    """When a reading happened, ns since 1970 UTC, and the flags that go with it."""

    ts: int
    flags: dict[str, str]


def _encodable(text: str) -> str:
    """Give text that UTF-8 can hold: JSON may hold half a surrogate pair."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


class Findings:
    """Takes in what a decoder finds, part by part; what is wrong with one part leaves the others alone.

    The decoder says whose values they are and when they were taken, and nothing more: values become metrics, times are
    judged, limits kept, and retained messages without a time left out, all here.
    """

    def __init__(self, arrival: Arrival, route: Route, context: Context) -> None:
        self._arrival, self._route, self._context = arrival, route, context
        self._received = Moment(arrival.received, NO_FLAGS)
        self._problems = Problems()
        self._readings: dict[tuple[str, int, tuple[object, ...]], Reading] = {}
        self._named: dict[tuple[str, str], int] = {}  # how often a metric was named without a time of its own
        self._units: dict[str, dict[str, str]] = {}
        self._spelled: dict[str, dict[str, str]] = {}
        self._left_out: Counter[Ignored] = Counter()
        self._states: list[State] = []
        self._facts: dict[str, dict[str, str]] = {}
        self._requests: list[tuple[str, bytes]] = []
        self._why: Ignored | None = None
        self._device = ""
        self._points = self._told = 0

    def when(
        self,
        stated: object,
        *,
        unit: int | None = None,
        device: str = "",
        where: str = "",
        earliest: int = EARLIEST,
    ) -> Moment | None:
        """Judge a time that a device gave: a number of `unit` ns (told by its size if None), or ISO 8601 text.

        A missing one (None) is the time of arrival. One that cannot be read is a problem, and gives None. A time
        without a zone is in `device`'s, else the route's, else UTC. One before `earliest` (ns) is that of an unset
        clock.
        """
        if stated is None:
            return self._received
        route = self._route
        zone = None
        if isinstance(stated, str):
            zone = (self._context.zone_of(device) if device else None) or route.zone
        try:
            ts, flags = event_time(stated, self._arrival.received, route.ahead, unit=unit, zone=zone, earliest=earliest)
        except BadTimeError as error:
            self.problem(Reason.BAD_TIME, f"{where}{error}")
            return None
        return Moment(ts, flags)

    def reading(
        self,
        device: str,
        fields: Mapping[str, object],
        moment: Moment | None = None,
        *,
        units: Mapping[str, str] = _NO_UNITS,
        flags: Mapping[str, str] = NO_FLAGS,
        where: str = "",
    ) -> None:
        """Take in the metrics of `device` in `fields`: nested names are joined with a dot, arrays count from 1.

        `moment`: when they were taken, None for the time of arrival. `units`: in what unit numbers are, by metric,
        where the message or the convention says. `flags` are added to the moment's. `where` begins the words about a
        problem.
        """
        if wrong := _device_problem(device):
            self.problem(Reason.BAD_DEVICE, f"{where}the device id {shown(device)} {wrong}")
            return
        flattener = Flattener(self._context.limits, self._problems)
        values = flattener.flatten(fields)
        if flattener.no_values:
            self._left_out[Ignored.NO_VALUE] += flattener.no_values
        if not values:
            return
        when = self._received if moment is None else moment
        if self._arrival.retained and (when is self._received or "clock" in when.flags):
            self._left_out[Ignored.RETAINED_UNTIMED] += 1
            return
        self._points += len(values)
        if self._points > (most := self._context.limits.points):
            self.problem(Reason.TOO_LARGE, f"{where}the message holds more than {most} values")
            return
        if units:
            self._note_units(device, values, units, where)
        if flattener.spelled:
            self._spelled.setdefault(device, {}).update(flattener.spelled)
        all_flags = when.flags | {name: _encodable(detail) for name, detail in flags.items()} if flags else when.flags
        self._add(device, when.ts, values, all_flags)

    def state(self, device: str, moment: Moment | None = None, *, online: bool, reason: str = "") -> None:
        """Take in that a device is online or offline."""
        if wrong := _device_problem(device):
            self.problem(Reason.BAD_DEVICE, f"the device id {shown(device)} {wrong}")
            return
        if len(self._states) >= self._context.limits.points:
            self.problem(Reason.TOO_LARGE, f"the message says of more than {len(self._states)} devices how they are")
            return
        self._states.append(State(device, online, (moment or self._received).ts, _encodable(reason[:256])))

    def facts(self, device: str, facts: Mapping[str, object]) -> None:
        """Take in what a device says of itself: `name`, `model`, `firmware`, `unit.METRIC` and so on."""
        if _device_problem(device):
            return
        self._told += min(len(facts), _MOST_FACTS)
        if self._told > _MOST_TOLD:
            self.problem(Reason.TOO_LARGE, f"the message says more than {_MOST_TOLD} things of devices")
            return
        for name, fact in facts.items():
            if isinstance(fact, str | int | float) and len(name) <= _FACT_CHARACTERS:
                known = self._facts.setdefault(device, {})
                if len(known) < _MOST_FACTS:
                    known[_encodable(name)] = _encodable(str(fact)[:_FACT_CHARACTERS])

    def about(self, device: str) -> None:
        """Say whose message this is, for its dead letter, where neither the route nor what it holds tells that."""
        if _device_problem(device) is None:
            self._device = device

    def problem(self, reason: Reason, what: str) -> None:
        """Note a part that should have been readable and was not."""
        self._problems.add(reason, what)

    def left_out(self, why: Ignored, count: int = 1) -> None:
        """Count parts that are in order and make no reading."""
        self._left_out[why] += count

    def ignore(self, why: Ignored) -> None:
        """Say why there is nothing in the message, should there be nothing."""
        self._why = why

    def request(self, topic: str, payload: bytes) -> None:
        """Ask for a message to be published."""
        self._requests.append((topic, payload))

    def decoded(self) -> Decoded:
        """Give everything that was found."""
        readings = list(self._readings.values())
        problems = self._problems or None
        return Decoded(
            readings,
            problems,
            None if readings or problems else self._nothing(),
            self._left_out or None,
            self._units or None,
            self._spelled or None,
            self._states,
            self._facts or None,
            self._requests,
            self._device,
        )

    def _nothing(self) -> Ignored:
        if self._states:
            return Ignored.PRESENCE
        if self._why is not None:
            return self._why
        if self._left_out:
            # What was left out most explains the message best; of equals, the one that came first.
            return self._left_out.most_common(1)[0][0]
        return Ignored.METADATA if self._facts else Ignored.EMPTY

    def _note_units(self, device: str, values: dict[str, Value], units: Mapping[str, str], where: str) -> None:
        for metric in list(values):
            unit = units.get(metric)
            if unit is None:
                continue
            unit = _encodable(unit[:_UNIT_CHARACTERS])
            known = self._units.setdefault(device, {})
            if canonical(known.setdefault(metric, unit)) != canonical(unit):
                del values[metric]
                self.problem(
                    Reason.BAD_UNIT, f"{where}{shown(metric)} is in {shown(known[metric])} and in {shown(unit)} at once"
                )

    def _add(self, device: str, ts: int, values: dict[str, Value], flags: dict[str, str]) -> None:
        """Join the values to those of the same moment.

        Of readings that have no time of their own, and name a metric again, each is a nanosecond after the one before:
        under the same time, only the last would be stored.
        """
        if not values:
            return
        if ts == self._arrival.received:
            named = self._named
            before = max(named.get((device, metric), 0) for metric in values)
            named.update(dict.fromkeys(((device, metric) for metric in values), before + 1))
            ts += before
        key = (device, ts, tuple(flags.items()))
        known = self._readings.get(key)
        if known is None:
            self._readings[key] = Reading(device, ts, self._arrival.received, values, flags)
        elif len(known.values) + len(values) <= self._context.limits.metrics:
            known.values.update(values)
        else:  # more than one reading may hold: the rest is another one, of the same moment
            key = (device, ts, (*key[2], ("", str(len(self._readings)))))
            self._readings[key] = Reading(device, ts, self._arrival.received, values, flags)
