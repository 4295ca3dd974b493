"""When each message is due: an open loop on absolute times, spread evenly over the devices."""

from random import Random

from simulators.fleet import Device

SECOND = 1_000_000_000


class Schedule:
    """Message `n`, from 0, belongs to device `device(n)` and is due `due_at(n)` ns after the start.

    The devices take turns in a seeded order, so each has a phase of its own and the load is even. `rate` is messages
    a second of each device; with 0, everything is due at once.
    """

    def __init__(self, devices: list[Device], rate: float, seconds: float, seed: int) -> None:
        self._order = list(devices)
        Random(seed).shuffle(self._order)  # noqa: S311 - a simulation wants repeatable randomness
        self._total_rate = rate * len(self._order)
        self._seconds = seconds

    @property
    def flat_out(self) -> bool:
        """Whether nothing has a time of its own."""
        return not self._total_rate

    @property
    def total(self) -> int | None:
        """How many messages there are, or None where the end is a matter of time alone."""
        return round(self._total_rate * self._seconds) if self._total_rate and self._seconds else None

    def device(self, number: int) -> Device:
        """Give the device that sends message `number`."""
        return self._order[number % len(self._order)]

    def turn(self, number: int) -> int:
        """How many messages that device has sent before message `number`."""
        return number // len(self._order)

    def due_at(self, number: int) -> int:
        """Time in ns, from the start, at which message `number` is to be sent."""
        return int(number / self._total_rate * SECOND) if self._total_rate else 0

    def over(self, number: int, elapsed: int) -> bool:
        """Whether nothing is left to send once `number` messages are sent and `elapsed` ns have passed."""
        if self.total is not None:
            return number >= self.total
        return self._seconds > 0 and elapsed >= self._seconds * SECOND
