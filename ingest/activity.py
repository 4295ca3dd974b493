"""Which devices have sent readings: summed up after they are on disk, and told in a few messages a second. Pure."""

from collections.abc import Awaitable, Callable, Iterator
from itertools import islice

from contracts.activity import ACTIVITY_MESSAGE, MOST_DEVICES, Activity, Heard
from contracts.streams import ACTIVITY
from ingest.cycle import Cycle, Outgoing

INTERVAL_S = 1.0
"""How often it is told."""

MOST_HEARD = 200_000
"""How many devices are remembered between two times."""


class Tally:
    """Counts the stored messages of each device, and remembers when the last one came.

    `uncounted`: how many messages are in no sum, for there being more than `most` devices, since the start.
    """

    def __init__(self, most: int = MOST_HEARD) -> None:
        self._most = most
        self._heard: dict[str, list[int]] = {}  # messages, and when the newest was received
        self._unwritten: list[Outgoing] = []
        self.uncounted = 0

    def count(self, cycle: Cycle) -> None:
        """Take in a cycle that the stream has stored."""
        heard, most = self._heard, self._most
        for reading in cycle.each_reading():
            device, received = reading.device, reading.received
            known = heard.get(device)
            if known is not None:
                known[0] += 1
                if received > known[1]:  # noqa: PLR1730 - a call for each message would cost as much as all the rest
                    known[1] = received
            elif len(heard) < most:
                heard[device] = [1, received]
            else:
                self.uncounted += 1
        for device, more in cycle.further.items():
            known = heard.get(device)
            if known is None:
                self.uncounted -= more
            else:
                known[0] -= more

    async def tell(self, write: Callable[[list[Outgoing]], Awaitable[None]], now: int) -> None:
        """Write what was counted since the last time, as of `now` (ns); counting goes on meanwhile.

        Interrupted, it begins the next time with the very same messages: the stream knows those that it has.
        """
        if not self._unwritten:
            heard, self._heard = self._heard, {}
            self._unwritten = [(ACTIVITY.subjects, body) for body in _messages(heard, now)]
        if self._unwritten:
            await write(self._unwritten)
            self._unwritten = []


def _messages(heard: dict[str, list[int]], now: int) -> Iterator[bytes]:
    devices = iter(heard.items())
    while some := {device: Heard(*known) for device, known in islice(devices, MOST_DEVICES)}:
        yield ACTIVITY_MESSAGE.encode(Activity(1, now, some))
