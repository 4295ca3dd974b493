"""A timed language for what rules do: what is pushed when, and which changes of alerts are wanted between when.

    line = Timeline(rule(metric="temperature", value=30.0))
    line.push(at(2.2), reading(temperature=31.0))
    line.want(between(2.2, 2.5), alert().firing())
    line.check()

Times are seconds after the beginning. `check` lives through it all with the clock ticking, three times: undisturbed;
with a crash after everything that is pushed or done; and with a restart at each full second. Each time exactly what is
wanted has to come, in its time. A wanted change says only what matters; what it leaves out may be anything.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from alerting.evaluation.shard import Shard
from alerting.evaluation.tally import Tally
from alerting.evaluation.writes import RuleError, Writes
from alerting.judges.build import build
from alerting.life.alert import Alert, Change, Ending, State, What
from alerting.rules.describing import describe
from alerting.rules.rule import Rule
from alerting.rules.spec import parse_spec
from contracts.derived import Window
from contracts.devices import DeviceRecord
from contracts.readings import Reading, Value

SECOND = 1_000_000_000
T0 = 1_772_000_000 * SECOND
MAX_AGE_S = 600
CHECKPOINT_S = 5
TICK = SECOND // 4

Span = tuple[float, float]


def at(seconds: float) -> Span:
    """Give one moment; of what is wanted, until the next tick of the clock."""
    return seconds, seconds + 0.25


def between(first: float, last: float) -> Span:
    """Give the time from `first` to `last`."""
    return first, last


def every(step: float, first: float, last: float) -> list[Span]:
    """Give a moment every `step` seconds from `first` to `last`."""
    return [at(first + step * number) for number in range(int((last - first) / step) + 1)]


def ns(seconds: float) -> int:
    """Give the time, in ns since 1970, that is `seconds` after the beginning."""
    return T0 + round(seconds * SECOND)


def rule(rule_id: str = "hot", version: int = 1, **content: Any) -> Rule:  # noqa: ANN401 - a rule as JSON has it
    """Build a rule of its content, `for` spelt `for_`: a threshold of 30 on temperature where nothing else is said."""
    kind = content.setdefault("kind", "threshold")
    if kind == "threshold":
        content.setdefault("metric", "temperature")
        if "levels" not in content:
            content.setdefault("value", 30.0)
    if "for_" in content:
        content["for"] = content.pop("for_")
    return build(rule_id, version, parse_spec({"name": rule_id, **content}))


def record(device: str = "d1", **fields: Any) -> DeviceRecord:  # noqa: ANN401 - as DeviceRecord has them
    """Give what the registry has of a device."""
    given: dict[str, Any] = {"enabled": True, "profile": "default"} | fields
    return DeviceRecord(1, device, **given)


@dataclass(frozen=True)
class Sent:
    """What a device sends; `ts` in seconds after the beginning, None for when it is pushed."""

    device: str
    ts: float | None
    values: Mapping[str, Value]


def reading(device: str = "d1", ts: float | None = None, **values: Value) -> Sent:
    """Give a reading with `values` by metric; of event time `ts`, or of when it is pushed."""
    return Sent(device, ts, values)


@dataclass(frozen=True)
class Wanted:
    """A change of an alert, as far as it matters."""

    what: What
    rule: str
    device: str
    fields: Mapping[str, object]

    def is_(self, change: Change) -> bool:
        alert = change.alert
        facts = {"at": (change.at - T0) / SECOND, "evidence": change.evidence}
        return (change.what, alert.rule_id, alert.subject.device) == (self.what, self.rule, self.device) and all(
            (facts[name] if name in facts else getattr(alert, name)) == wanted for name, wanted in self.fields.items()
        )


@dataclass(frozen=True)
class Expected:
    """Whose change is wanted; its methods say which. `at` is the event time; all else is as Alert has it."""

    rule: str
    device: str

    def pending(self, **fields: object) -> Wanted:
        return self._wanted(What.PENDING, fields)

    def withdrawn(self, **fields: object) -> Wanted:
        return self._wanted(What.WITHDRAWN, fields)

    def firing(self, **fields: object) -> Wanted:
        return self._wanted(What.FIRING, fields)

    def escalated(self, level: int, **fields: object) -> Wanted:
        return self._wanted(What.ESCALATED, {"level": level} | fields)

    def deescalated(self, level: int, **fields: object) -> Wanted:
        return self._wanted(What.DEESCALATED, {"level": level} | fields)

    def resolved(self, reason: Ending = Ending.CLEARED, **fields: object) -> Wanted:
        return self._wanted(What.RESOLVED, {"reason": reason} | fields)

    def _wanted(self, what: What, fields: Mapping[str, object]) -> Wanted:
        return Wanted(what, self.rule, self.device, fields)


def alert(rule: str = "hot", device: str = "d1") -> Expected:
    """Give the alert of a rule at a device."""
    return Expected(rule, device)


@dataclass
class Disk:
    """What the database would hold. It takes a change only of an alert that stands as the change has it."""

    rows: dict[str, bytes] = field(default_factory=dict)
    open: dict[tuple[str, str], Alert] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)
    changes: list[Change] = field(default_factory=list)
    errors: list[RuleError] = field(default_factory=list)

    def commit(self, writes: Writes) -> None:
        for change in writes.changes:
            alert = change.alert
            key = alert.rule_id, alert.subject.device
            before = self.open.get(key)
            assert alert.id not in self.over, f"{alert.id} was over"
            assert before is None or before.id == alert.id, "two open alerts for one rule and device"
            assert (before is None) == (alert.id not in {known.alert.id for known in self.changes}), alert
            if alert.state in {State.PENDING, State.FIRING}:
                self.open[key] = alert
            else:
                self.open.pop(key, None)
                self.over.add(alert.id)
            self.changes.append(change)
            assert alert.subject.device in writes.devices, "a change comes with its device's row"
        self.rows |= writes.devices
        for device in writes.forgotten:
            del self.rows[device]
        self.errors += writes.errors


class World:
    """A partition that lives: its rules, its registry, what was sent, its disk and its memory."""

    def __init__(self, rules: Iterable[Rule], records: Mapping[str, DeviceRecord], max_age_s: float) -> None:
        self.now = T0
        self.heard_until: int | None = None
        self.rules = {rule.id: rule for rule in rules}
        self.records = dict(records)
        self.disk = Disk()
        self.log: list[Reading | Window] = []
        self.acknowledged = 0
        self.tally = Tally()
        self.away = False
        self._max_age = round(max_age_s * SECOND)
        self._ids = count(1)
        self.start()

    def start(self) -> None:
        """Begin with what is on disk; what was not acknowledged comes again."""
        self.shard = Shard(0, self.records.get, self._max_age, self._new_id, describe, devices=self._devices)
        self.shard.restore(self.rules.values(), self.disk.rows.items(), self.disk.open.values(), self.now)
        self._written()
        for message in self.log[self.acknowledged :]:
            self._take(message)

    def send(self, message: Reading | Window) -> None:
        self.log.append(message)
        self._take(message)

    def tick(self) -> None:
        self.shard.tick(self.now, self.now if self.heard_until is None else self.heard_until)
        self._written()

    def checkpoint(self) -> None:
        self.disk.commit(self.shard.take_all())
        self.acknowledged = len(self.log)

    def put(self, rule: Rule) -> None:
        self.rules[rule.id] = rule
        self._tell(lambda shard: shard.put(rule, self.now))

    def remove(self, rule_id: str) -> None:
        del self.rules[rule_id]
        self._tell(lambda shard: shard.remove(rule_id, self.now))

    def register(self, record: DeviceRecord) -> None:
        self.records[record.id] = record
        self._tell(lambda shard: shard.device_changed(record.id, self.now))

    def delete(self, device: str) -> None:
        del self.records[device]
        self._tell(lambda shard: shard.device_changed(device, self.now))

    def resolve(self, rule: str = "hot", device: str = "d1") -> None:
        """Do what an operator does who resolves an alert."""
        self.shard.end(self.disk.open[rule, device].id, self.now)
        self._written()

    def _tell(self, change: Callable[[Shard], None]) -> None:
        if not self.away:
            change(self.shard)
            self._written()

    def _take(self, message: Reading | Window) -> None:
        if isinstance(message, Reading):
            self.shard.take(message, self.now)
        else:
            self.shard.take_window(message, self.now)
        self._written()

    def _written(self) -> None:
        tally = self.shard.take_tally()
        for name in Tally.__struct_fields__:
            setattr(self.tally, name, getattr(self.tally, name) + getattr(tally, name))
        if self.shard.urgent:
            self.disk.commit(self.shard.take_urgent())

    def _devices(self) -> Iterable[str]:
        return list(self.records)

    def _new_id(self) -> str:
        return f"a{next(self._ids)}"


Act = Callable[[World], None]


def away(act: Act) -> Act:
    """Have something done, to rules or registry, while evaluation is away; then it starts again."""

    def acted(world: World) -> None:
        world.away = True
        act(world)
        world.away = False
        world.start()

    return acted


class Timeline:
    """What happens, and what is wanted of it."""

    def __init__(
        self, *rules: Rule, devices: Iterable[DeviceRecord] = (), max_age_s: float = MAX_AGE_S, tick: int = TICK
    ) -> None:
        self._rules, self._records = rules, {known.id: known for known in devices}
        self._max_age_s, self._tick = max_age_s, tick
        self._acts: list[tuple[float, Act]] = []
        self._wanted: list[tuple[Span, Wanted]] = []

    def push(self, when: Span | list[Span], what: Sent | Window) -> None:
        """Have something sent, once or several times; what ingest receives, evaluation hears at once."""
        for seconds, _ in when if isinstance(when, list) else [when]:
            self._acts.append((seconds, _sending(what, seconds)))

    def do(self, when: Span, act: Act) -> None:
        """Have something done: by operators, the registry, or the rules' author."""
        self._acts.append((when[0], act))

    def want(self, when: Span, change: Wanted) -> None:
        """Want a change of an alert, within a time."""
        self._wanted.append((when, change))

    def check(self, until: float | None = None) -> World:
        """Live through it, until a while after the last that is pushed or wanted; gives the undisturbed world."""
        end = max([until or 0.0, *(when + 1 for when, _ in self._acts), *(last + 1 for (_, last), _ in self._wanted)])
        self._lived(end, "with a crash after each event", crash=True, restart=False)
        self._lived(end, "with a restart every second", crash=False, restart=True)
        return self._lived(end, "undisturbed", crash=False, restart=False)

    def _lived(self, end: float, how: str, *, crash: bool, restart: bool) -> World:
        world = World(self._rules, self._records, self._max_age_s)
        occurred: list[tuple[float, Change]] = []
        acts = sorted(self._acts, key=lambda act: act[0])

        def noted() -> None:
            occurred.extend(((world.now - T0) / SECOND, change) for change in world.disk.changes[len(occurred) :])

        noted()
        while world.now <= ns(end):
            upcoming = world.now + self._tick
            while acts and ns(acts[0][0]) < upcoming:
                seconds, act = acts.pop(0)
                world.now = max(world.now, ns(seconds))
                act(world)
                if crash:
                    world.start()
                noted()
            world.now = upcoming
            world.tick()
            elapsed = upcoming - T0
            if elapsed % (CHECKPOINT_S * SECOND) == 0:
                world.checkpoint()
            if restart and elapsed % SECOND == 0:
                world.checkpoint()
                world.start()
            noted()
        _compare(self._wanted, occurred, how)
        return world


def _sending(what: Sent | Window, seconds: float) -> Act:
    if isinstance(what, Window):
        return lambda world: world.send(what)
    ts = ns(seconds if what.ts is None else what.ts)
    return lambda world: world.send(Reading(what.device, ts, ns(seconds), dict(what.values)))


def _compare(wanted: list[tuple[Span, Wanted]], occurred: list[tuple[float, Change]], how: str) -> None:
    left = list(occurred)
    missing = []
    for (first, last), change in wanted:
        found = next((one for one in left if first <= one[0] <= last and change.is_(one[1])), None)
        if found is None:
            missing.append(f"{first}-{last}: {change}")
        else:
            left.remove(found)
    if missing or left:
        came = [f"{seconds}: {change.what} at {(change.at - T0) / SECOND} {change.alert}" for seconds, change in left]
        raise AssertionError("\n".join([how, "wanted and did not come:", *missing, "came and was not wanted:", *came]))
