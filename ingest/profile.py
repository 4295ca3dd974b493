"""What a device's profile makes of its values: type, unit, calibration, range, in this order. Pure.

A value that does not fit loses itself alone, with its reason; what the profile does not name is taken as it comes.
"""

import math
from collections.abc import Mapping

from contracts.deadletters import Reason
from contracts.devices import Calibration, DeviceRecord, Metric
from contracts.readings import Reading, Value
from contracts.units import conversion
from ingest.outcomes import Problems
from ingest.values import Refused, shown

RAW = ".raw"
"""Ends the name of the device's own number, which `keep_raw` keeps beside the one that is stored."""

MOST_DEVICES = 20_000
"""How many devices' rules are held ready; those of others are made anew."""

_WORDS = {
    **dict.fromkeys(("true", "on", "yes", "open", "online", "1"), True),
    **dict.fromkeys(("false", "off", "no", "closed", "offline", "0"), False),
}
_LONGEST_WORD = max(map(len, _WORDS))
_WANTED = {"number": "a number", "boolean": "true or false, or a word for it", "text": "text"}


class Profiles:
    """Applies each device's profile to its readings.

    `raw_displaced` counts the numbers that `keep_raw` could not keep, since their device sends a metric of that name.
    """

    def __init__(self, most: int = MOST_DEVICES) -> None:
        self._most = most
        self._held: dict[str, tuple[DeviceRecord, dict[str, _Rule]]] = {}  # longest held first
        self.raw_displaced = 0

    def __len__(self) -> int:
        return len(self._held)

    def check(
        self,
        record: DeviceRecord,
        reading: Reading,
        units: Mapping[str, str] | None,
        spelled: Mapping[str, str] | None,
        problems: Problems,
    ) -> Reading | None:
        """Give `reading` as it is to be stored, the same one if nothing changes; None if no value is left.

        `units`: what the message says of its metrics' units, in any spelling; where it says nothing, the profile's is
        meant. `spelled`: the text that decoding has turned into a number or boolean, by metric. What is wrong with a
        value goes to `problems`, and its neighbours stay.
        """
        if not record.metrics:
            return reading
        held = self._held.get(record.id)
        rules = held[1] if held is not None and held[0] is record else self._prepare(record)
        for name, value in reading.values.items():
            rule = rules.get(name)
            if rule is None:
                continue
            kind = type(value)
            if kind is not rule.plain or (kind is float and (units or not rule.low <= value <= rule.high)):  # type: ignore[operator]  # it is a float
                return self._apply(record, rules, reading, units or {}, spelled or {}, problems)
        return reading

    def _prepare(self, record: DeviceRecord) -> "dict[str, _Rule]":
        held = self._held
        held.pop(record.id, None)
        while len(held) >= self._most:
            del held[next(iter(held))]
        rules = {name: _Rule(metric) for name, metric in record.metrics.items()}
        held[record.id] = record, rules
        return rules

    def _apply(
        self,
        record: DeviceRecord,
        rules: "dict[str, _Rule]",
        reading: Reading,
        units: Mapping[str, str],
        spelled: Mapping[str, str],
        problems: Problems,
    ) -> Reading | None:
        """Take each value alone, since at least one may change or be refused."""
        values: dict[str, Value] = {}
        raw: dict[str, Value] = {}
        for name, value in reading.values.items():
            rule = rules.get(name)
            if rule is None:
                values[name] = value
                continue
            unit = units.get(name, "")
            found = rule.judge(value, unit, reading.ts, spelled.get(name))
            if isinstance(found, Refused):
                problems.add(found.reason, f"{shown(name)} {found.why}")
                continue
            values[name] = found
            if record.keep_raw and rule.corrects(unit, reading.ts):
                raw[name + RAW] = value
        for name, value in raw.items():
            if name in reading.values:
                self.raw_displaced += 1
            else:
                values[name] = value
        return Reading(reading.device, reading.ts, reading.received, values, reading.flags) if values else None


class _Rule:
    """One metric's rule, made ready.

    `plain` is the type of values that stay as they are, if a number is from `low` to `high`; None if there is none.
    """

    __slots__ = ("_calibration", "_metric", "high", "low", "plain")

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._calibration = sorted(metric.calibration, key=lambda entry: entry.since, reverse=True)
        self.low = -math.inf if metric.min is None else metric.min
        self.high = math.inf if metric.max is None else metric.max
        self.plain: type | None = {"number": float, "boolean": bool, "text": str}[metric.type]
        if metric.type == "number" and any(map(_changes, self._calibration)):
            self.plain = None

    def judge(self, value: Value, unit: str, ts: int, spelled: str | None) -> Value | Refused:
        """Give the value as it is to be stored, or say why it is not."""
        wanted = self._metric.type
        if wanted == "number" and type(value) is float:
            return self._number(value, unit, ts)
        if wanted == "boolean" and (found := _boolean(value)) is not None:
            return found
        if wanted == "text" and (text := value if isinstance(value, str) else spelled) is not None:
            return text
        return Refused(Reason.WRONG_TYPE, f"is {_told(value)}; the profile wants {_WANTED[wanted]}")

    def corrects(self, unit: str, ts: int) -> bool:
        """Whether numbers in `unit` are converted or calibrated at `ts`; then the device's own may be kept as well."""
        if self._metric.type != "number":
            return False
        convert = conversion(unit, self._metric.unit) if unit and self._metric.unit else None
        calibration = self._calibrated(ts)
        return (convert is not None and convert.changes) or (calibration is not None and _changes(calibration))

    def _number(self, sent: float, unit: str, ts: int) -> float | Refused:
        value, inside = sent, self._metric.unit
        if unit != inside and unit and inside:
            convert = conversion(unit, inside)
            if convert is None:
                return Refused(Reason.BAD_UNIT, f"is in {shown(unit)}, which cannot be turned into {inside}")
            value = convert.apply(value)
        calibration = self._calibrated(ts)
        if calibration is not None:
            value = _calibrate(value, calibration)
        if not math.isfinite(value):
            return Refused(Reason.BAD_VALUE, f"is {_told(sent)}, of which unit or calibration make no finite number")
        if not self.low <= value <= self.high:
            origin = "" if value == sent else f" (sent as {_told(sent)}{unit and f' {shown(unit)}'})"
            return Refused(
                Reason.OUT_OF_RANGE, f"is {_told(value)}{inside and f' {inside}'}{origin}; {self._range()} allowed"
            )
        return value

    def _calibrated(self, ts: int) -> Calibration | None:
        """Of the calibrations that have begun at `ts`, the last."""
        for entry in self._calibration:
            if entry.since <= ts:
                return entry
        return None

    def _range(self) -> str:
        if self._metric.max is None:
            return f"{_told(self.low)} or more is"
        if self._metric.min is None:
            return f"{_told(self.high)} or less is"
        return f"{_told(self.low)} to {_told(self.high)} is"


def _calibrate(value: float, calibration: Calibration) -> float:
    if calibration.polynomial:
        x, value = value, 0.0
        for coefficient in reversed(calibration.polynomial):
            value = value * x + coefficient
    return value * calibration.scale + calibration.offset


def _changes(calibration: Calibration) -> bool:
    return bool(calibration.polynomial) or calibration.scale != 1 or calibration.offset != 0


def _boolean(value: Value) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, float):
        return bool(value) if value in (0.0, 1.0) else None
    return _WORDS.get(value.lower()) if len(value) <= _LONGEST_WORD else None


def _told(value: Value) -> str:
    if isinstance(value, str):
        return f"the text {shown(value)}"
    return str(value).lower() if isinstance(value, bool) else repr(value).removesuffix(".0")
