"""Which devices have sent readings, summed up."""

from collections import Counter

import pytest

from contracts.activity import ACTIVITY_MESSAGE, MOST_DEVICES, Activity, Heard
from contracts.readings import Reading
from ingest.activity import Tally
from ingest.cycle import Cycle, Outgoing

NOW = 1_767_225_700_000_000_000


class Disk:
    """A stream that can be away; it has what it acknowledged."""

    def __init__(self) -> None:
        self.there = True
        self.asked: list[list[Outgoing]] = []
        self.stored: list[Activity] = []

    async def write(self, outgoing: list[Outgoing]) -> None:
        self.asked.append(list(outgoing))
        if not self.there:
            raise TimeoutError
        assert {subject for subject, _ in outgoing} <= {"activity"}
        self.stored += [ACTIVITY_MESSAGE.decode(body) for _, body in outgoing]


def cycle(*messages: tuple[str, list[int]]) -> Cycle:
    """Make a cycle of messages: device, and when each reading was received."""
    made = Cycle(4)
    for device, received in messages:
        readings = [Reading(device, at, at, {"n": 1.0}) for at in received]
        if len(readings) == 1:
            made.add_whole(0, readings[0])
        else:
            made.add(0, readings)
    return made


async def test_messages_are_counted_by_device_however_many_readings_each_has() -> None:
    tally, disk = Tally(), Disk()
    tally.count(cycle(("a", [1]), ("b", [2, 2, 2]), ("a", [3]), ("c", [])))
    tally.count(cycle(("b", [4, 4]), ("a", [5])))
    await tally.tell(disk.write, NOW)
    assert disk.stored == [Activity(1, NOW, {"a": Heard(3, 5), "b": Heard(2, 4)})]


async def test_nothing_is_told_where_nothing_was_heard_and_nothing_twice() -> None:
    tally, disk = Tally(), Disk()
    await tally.tell(disk.write, NOW)
    tally.count(cycle(("a", [1])))
    await tally.tell(disk.write, NOW)
    await tally.tell(disk.write, NOW + 1)
    assert len(disk.asked) == 1


async def test_a_replayed_message_does_not_set_back_when_the_last_one_came() -> None:
    tally, disk = Tally(), Disk()
    tally.count(cycle(("a", [9]), ("a", [4])))
    await tally.tell(disk.write, NOW)
    assert disk.stored[0].devices == {"a": Heard(2, 9)}


async def test_what_could_not_be_told_is_told_as_it_was_and_what_came_meanwhile_after_it() -> None:
    tally, disk = Tally(), Disk()
    tally.count(cycle(("a", [1])))
    disk.there = False
    with pytest.raises(TimeoutError):
        await tally.tell(disk.write, NOW)
    tally.count(cycle(("a", [2]), ("b", [2])))
    tally.count(cycle(("a", [3])))
    disk.there = True
    await tally.tell(disk.write, NOW + 1)
    assert disk.asked[1] == disk.asked[0], "the same bytes: the stream may have them, and then drops these"
    await tally.tell(disk.write, NOW + 2)
    assert disk.stored == [
        Activity(1, NOW, {"a": Heard(1, 1)}),
        Activity(1, NOW + 2, {"a": Heard(2, 3), "b": Heard(1, 2)}),
    ]


async def test_more_devices_than_are_remembered_are_counted_as_uncounted() -> None:
    tally, disk = Tally(most=2), Disk()
    tally.count(cycle(("a", [1]), ("b", [1]), ("c", [1, 1, 1]), ("c", [2]), ("a", [2])))
    assert tally.uncounted == 2
    await tally.tell(disk.write, NOW)
    assert disk.stored[0].devices == {"a": Heard(2, 2), "b": Heard(1, 1)}
    tally.count(cycle(("c", [3])))
    await tally.tell(disk.write, NOW)
    assert disk.stored[1].devices == {"c": Heard(1, 3)}


async def test_many_devices_are_told_in_several_messages() -> None:
    tally, disk = Tally(), Disk()
    tally.count(cycle(*((f"d{number}", [number]) for number in range(MOST_DEVICES + 5))))
    await tally.tell(disk.write, NOW)
    assert [len(activity.devices) for activity in disk.stored] == [MOST_DEVICES, 5]
    told: Counter[str] = Counter()
    for activity in disk.stored:
        told.update({device: heard.messages for device, heard in activity.devices.items()})
    assert set(told.values()) == {1}
