"""Which devices may send, and what their profiles make of their values. Pure."""

from collections.abc import Callable, Sequence

from contracts.deadletters import Reason
from contracts.devices import DEFAULT_PROFILE, DeviceRecord
from contracts.readings import Reading
from ingest.outcomes import Arrival, Decoded, Problems
from ingest.profile import Profiles
from ingest.rates import RateLimits

REPEAT_NS = 10_000_000_000
"""How long after announcing an unknown device it is announced again, if it is still unknown."""

MOST_ANNOUNCED = 10_000
"""How many unknown devices are announced within that time; the others wait for their next reading after it."""


class Admission:
    """Decides by the device's record. With `register`, unknown devices are let in and announced."""

    def __init__(self, record_of: Callable[[str], DeviceRecord | None], rates: RateLimits, *, register: bool) -> None:
        self._record_of, self._rates, self._register = record_of, rates, register
        self._profiles = Profiles()
        self._announced: dict[str, int] = {}  # oldest first

    @property
    def raw_displaced(self) -> int:
        """How many raw numbers were not kept, since their device sends a metric of that name."""
        return self._profiles.raw_displaced

    def admit(self, device: str) -> Reason | None:
        """Why nothing is taken from `device`, or None if it is admitted."""
        # Step 3. Admit: a device that is disabled, or that nobody registered, may not send.
        record = self._record_of(device)
        if record is None:
            return None if self._register else Reason.UNKNOWN_DEVICE
        return None if record.enabled else Reason.DEVICE_DISABLED

    def plain(self, device: str) -> str | None:
        """Name the profile of `device` if it is admitted with whatever it sends, and no rate has a say; else None."""
        record = self._record_of(device)
        if self._rates.apply(record):
            return None
        if record is None:
            return DEFAULT_PROFILE if self._register else None
        return record.profile if record.enabled and not record.metrics else None

    def in_time(self, device: str, readings: Sequence[Reading], arrival: Arrival) -> bool:
        """Whether `device` keeps to its rates with what it says in this message; a replay always does."""
        points = sum(len(reading.values) for reading in readings)
        return arrival.replayed or self._rates.allow(device, self._record_of(device), points, arrival.received)

    def fit(self, readings: Sequence[Reading], decoded: Decoded, problems: Problems, route: str) -> list[Reading]:
        """Give the readings of one device as its profile wants them; `problems` say what is left out, and why."""
        device = readings[0].device
        record = self._record_of(device)
        if record is None:
            return [stamp(reading, DEFAULT_PROFILE, route) for reading in readings]
        units = decoded.units.get(device) if decoded.units else None
        spelled = decoded.spelled.get(device) if decoded.spelled else None
        fitted = [self._profiles.check(record, reading, units, spelled, problems) for reading in readings]
        return [stamp(reading, record.profile, route) for reading in fitted if reading is not None]

    def announces(self, device: str, now: int) -> bool:
        """Whether `device`, which has sent a reading at `now` ns, is to be announced so that it gets registered."""
        if not self._register or self._record_of(device) is not None:
            return False
        announced = self._announced
        while announced and (oldest := next(iter(announced))) and now - announced[oldest] >= REPEAT_NS:
            del announced[oldest]
        if device in announced or len(announced) >= MOST_ANNOUNCED:
            return False
        announced[device] = now
        return True


def stamp(reading: Reading, profile: str, route: str) -> Reading:
    """Give `reading` as one of `profile` that came by `route`."""
    return Reading(reading.device, reading.ts, reading.received, reading.values, reading.flags, profile, route)


REFUSED = {
    Reason.UNKNOWN_DEVICE: "the device is not registered; when it is, this is replayed by itself",
    Reason.DEVICE_DISABLED: "the device is disabled in the registry; enable it, then replay this",
    Reason.RATE_LIMITED: "the device sends more than it may; the message was counted and not stored",
}
"""What a dead letter, or the device's own error topic, says about each refusal."""
