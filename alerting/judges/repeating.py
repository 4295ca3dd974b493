"""Repeating: a device is bad while so many of a metric's last values are."""

from collections.abc import Mapping
from math import isfinite

import msgspec

from alerting.judges.threshold import Limits
from alerting.judges.verdict import GOOD, Device, Seen, Verdict
from contracts.readings import Value


class RepeatingMemory(msgspec.Struct, array_like=True):
    """For each level which of the last values breached it, and which held it: a bit each, the newest lowest."""

    breached: list[bytes] = []
    held: list[bytes] = []


class Repeating:
    """Judges whether at least `times` of the last `of` values breach a level; it holds while as many hold it.

    It waits for no number of values: three bad ones are three of the last five, also if they are the first. What is no
    finite number is none of them.
    """

    memory: type[msgspec.Struct] | None = RepeatingMemory

    def __init__(self, metric: str, limits: Limits, times: int, of: int) -> None:
        self.metrics = frozenset((metric,))
        self._verdict, self._times = limits.verdict, times
        self._mask = (1 << of) - 1
        self._levels = range(limits.count)

    def judge(
        self,
        at: int,  # noqa: ARG002 - as Judge has it
        value: Value,
        last: Mapping[str, Seen],  # noqa: ARG002
        memory: RepeatingMemory,
        device: Device,  # noqa: ARG002
    ) -> Verdict | None:
        """Judge as Judge says."""
        if type(value) is not float or not isfinite(value):
            return None
        now = self._verdict(value)
        if now is GOOD and not any(memory.held):
            return GOOD
        level = self._take(memory.breached, now.level)
        holds = self._take(memory.held, now.holds)
        return Verdict(level, holds) if holds else GOOD

    def _take(self, bits: list[bytes], reached: int) -> int:
        """Push one value's bit for each level, and give the highest level that has enough of them."""
        if len(bits) != len(self._levels):
            bits[:] = [b""] * len(self._levels)
        highest = 0
        for number in self._levels:
            pushed = (int.from_bytes(bits[number]) << 1 | (number < reached)) & self._mask
            bits[number] = pushed.to_bytes((pushed.bit_length() + 7) // 8)
            if pushed.bit_count() >= self._times:
                highest = number + 1
        return highest
