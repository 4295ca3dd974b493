"""Which devices may send: what the registry says, and what happens to those it does not know. Pure."""

from collections.abc import Callable

from contracts.deadletters import Reason
from contracts.devices import DeviceRecord

REPEAT_NS = 10_000_000_000
"""How long after announcing an unknown device it is announced again, if it is still unknown."""

MOST_ANNOUNCED = 10_000
"""How many unknown devices are announced within that time; the others wait for their next reading after it."""


class Admission:
    """Decides by the device's record. With `register`, unknown devices are let in and announced."""

    def __init__(self, record_of: Callable[[str], DeviceRecord | None], *, register: bool) -> None:
        self._record_of, self._register = record_of, register
        self._announced: dict[str, int] = {}  # oldest first

    def admit(self, device: str) -> Reason | None:
        """Why nothing is taken from `device`, or None if it is admitted."""
        # Step 3. Admit: a device that is disabled, or that nobody registered, may not send.
        record = self._record_of(device)
        if record is None:
            return None if self._register else Reason.UNKNOWN_DEVICE
        return None if record.enabled else Reason.DEVICE_DISABLED

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


REFUSED = {
    Reason.UNKNOWN_DEVICE: "the device is not registered; register it, then replay this",
    Reason.DEVICE_DISABLED: "the device is disabled in the registry; enable it, then replay this",
}
"""What a dead letter says about each refusal."""
