"""Which devices may send: what the registry says, and what happens to those it does not know. Pure."""

from collections import OrderedDict
from collections.abc import Callable

from contracts.deadletters import Reason
from contracts.devices import DeviceRecord
from ingest.outcomes import Decoded

REMEMBERED = 10_000
"""How many unknown devices are remembered as announced."""

REPEAT_NS = 10_000_000_000
"""How long after announcing an unknown device it is announced again, if it is still unknown."""


class Admission:
    """Decides by the device's record. With `register`, unknown devices are let in and announced."""

    def __init__(self, record_of: Callable[[str], DeviceRecord | None], *, register: bool) -> None:
        self._record_of, self._register = record_of, register
        self._announced: OrderedDict[str, int] = OrderedDict()

    def admit(self, decoded: Decoded, received: int) -> bool:
        """Step 3. Admit: take the readings away from a device that may not send.

        Returns whether the device is to be announced, so that it gets registered.
        """
        record = self._record_of(decoded.device)
        if record is not None:
            if not record.enabled:
                self._refuse(decoded, Reason.DEVICE_DISABLED, "the device is disabled in the registry")
            return False
        if not self._register:
            self._refuse(decoded, Reason.UNKNOWN_DEVICE, "the device is not registered; register it, then replay this")
            return False
        return bool(decoded.readings) and self._first_time(decoded.device, received)

    def _refuse(self, decoded: Decoded, reason: Reason, detail: str) -> None:
        if decoded.readings:
            decoded.readings = []
            decoded.rejected = [(reason, detail)]

    def _first_time(self, device: str, now: int) -> bool:
        if now - self._announced.get(device, -REPEAT_NS) < REPEAT_NS:
            return False
        self._announced[device] = now
        self._announced.move_to_end(device)
        if len(self._announced) > REMEMBERED:
            self._announced.popitem(last=False)
        return True
