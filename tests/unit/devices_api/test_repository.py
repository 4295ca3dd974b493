import asyncio
from pathlib import Path
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from contracts.devices import DeviceRecord
from contracts.presence import Presence
from devices_api.access import ROOT
from devices_api.errors import ExistsError
from devices_api.lists.choice import Chosen, Order
from devices_api.registry.devices import ListedDevice, NewDevice, Online
from devices_api.registry.hearing import Taken
from devices_api.repository import Repository
from tests.unit.devices_api.conftest import open_registry

State = Literal["online", "offline", "seen"]


def told(device: str, state: State, at: int) -> Presence:
    return Presence(1, device, state, at)


async def add(registry: Repository, *ids: str) -> None:
    for id_ in ids:
        await registry.create(NewDevice(id_, id_), ROOT, now=1)


async def test_a_device_comes_back_as_it_was_registered(registry: Repository) -> None:
    new = NewDevice("pump 7 °", "Pump", "pump", {"site": "north"}, enabled=False)
    device = await registry.create(new, ROOT, now=5)
    assert device == await registry.get(new.id)
    assert (device.tags, device.enabled, device.created, device.updated) == ({"site": "north"}, False, 5, 5)
    assert (device.online, device.last_changed) == (None, None)


async def test_an_id_is_registered_once_even_at_the_same_time(registry: Repository) -> None:
    tries = [registry.create(NewDevice("a", str(n)), ROOT, now=1) for n in range(8)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(result, ExistsError) for result in results) == 7
    assert len(await registry.outbox.pending(100)) == 1


async def test_a_change_replaces_what_it_names(registry: Repository) -> None:
    await registry.create(NewDevice("a", "A", tags={"x": "1"}), ROOT, now=1)
    changed = await registry.change("a", {"enabled": False, "tags": {}}, ROOT, now=2)
    assert changed == await registry.get("a")
    assert changed is not None
    assert (changed.name, changed.enabled, changed.tags, changed.updated) == ("A", False, {}, 2)
    assert await registry.change("b", {"enabled": False}, ROOT, now=2) is None


async def test_a_change_that_changes_nothing_announces_nothing(registry: Repository) -> None:
    await add(registry, "a")
    await registry.outbox.published([row for item in await registry.outbox.pending(10) for row in item.rows])
    device = await registry.change("a", {"enabled": True}, ROOT, now=2)
    assert device is not None
    assert device.updated == 1
    assert await registry.outbox.pending(10) == []


async def test_the_outbox_gives_each_device_once_as_it_is_now(registry: Repository) -> None:
    await add(registry, "a", "b")
    await registry.change("a", {"enabled": False}, ROOT, now=2)
    assert await registry.purge("b", ROOT, now=3)
    assert not await registry.purge("b", ROOT, now=3)
    pending = await registry.outbox.pending(10)
    assert [(item.id, len(item.rows)) for item in pending] == [("a", 2), ("b", 2)]
    assert [item.record for item in pending] == [DeviceRecord(1, "a", enabled=False, profile="default"), None]
    await registry.outbox.published(pending[0].rows)
    assert [item.id for item in await registry.outbox.pending(10)] == ["b"]
    assert await registry.outbox.size() == 2


async def test_everything_can_be_announced_again(registry: Repository) -> None:
    await add(registry, "a", "b")
    await registry.outbox.published([row for item in await registry.outbox.pending(10) for row in item.rows])
    assert await registry.outbox.announce_all() == 2
    assert [item.id for item in await registry.outbox.pending(10)] == ["a", "b"]


async def test_a_device_that_is_seen_is_registered_once_and_announced(registry: Repository) -> None:
    await add(registry, "known")
    messages = [told("new", "seen", 1), told("known", "seen", 2), told("new", "seen", 3)]
    assert await registry.take_presence(messages, 9, limit=10) == Taken(registered=1)
    assert await registry.take_presence(messages, 9, limit=10) == Taken()
    device = await registry.get("new")
    assert device is not None
    assert (device.name, device.profile, device.enabled, device.created) == ("new", "default", True, 9)
    assert [item.id for item in await registry.outbox.pending(10)] == ["known", "new"]


async def test_a_full_registry_registers_no_more(registry: Repository) -> None:
    messages = [told(id_, "seen", 1) for id_ in "abcd"]
    assert await registry.take_presence(messages, 9, limit=3) == Taken(registered=3, refused=1)
    assert await registry.take_presence([told("d", "seen", 2)], 9, limit=3) == Taken(refused=1)
    await add(registry, "by an operator")
    assert len(await listed(registry)) == 4


async def test_a_device_may_be_online_before_it_is_registered(registry: Repository) -> None:
    await registry.take_presence([told("a", "online", 5)], 9, limit=10)
    await registry.take_presence([told("a", "seen", 6)], 9, limit=10)
    device = await registry.get("a")
    assert device is not None
    assert (device.online, device.last_changed) == (True, 5)


async def test_states_of_strangers_are_bounded_and_those_of_devices_are_not(registry: Repository) -> None:
    await add(registry, "d1", "d2", "d3")
    strangers = [told(f"s{n}", "online", 1) for n in range(3)]
    devices = [told(f"d{n}", "online", 1) for n in (1, 2, 3)]
    assert await registry.take_presence(strangers + devices, 9, limit=2) == Taken(forgotten=1)
    assert [device.online for device in await listed(registry)] == [True] * 3
    assert await registry.take_presence([told("s9", "online", 1)], 9, limit=2) == Taken(forgotten=1)
    assert await registry.take_presence([told("s0", "offline", 2)], 9, limit=2) == Taken()


async def listed(registry: Repository) -> list[ListedDevice]:
    return (await registry.lists.page(None, Chosen(), Order(), None, 10)).devices


states = st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1)


@given(states)
def test_the_last_state_by_time_wins(messages: list[tuple[bool, int]]) -> None:
    online, at = messages[0]
    state = Online(online, at, at)
    for online, at in messages[1:]:
        state = state.hear(online=online, at=at)
    newest = max(at for _, at in messages)
    assert state.at == newest
    assert state.online == [online for online, at in messages if at == newest][-1]
    assert state.changed <= state.at


async def test_reads_take_messages_in_bulk_as_if_one_by_one(tmp_path: Path) -> None:
    messages = [told("a", "online", 1), told("a", "offline", 3), told("a", "online", 2), told("a", "online", 4)]
    found = []
    for name, reads in (("bulk", [messages]), ("single", [[message] for message in messages])):
        registry = await open_registry(tmp_path / name)
        await add(registry, "a")
        for read in reads:
            await registry.take_presence(read, 9, limit=10)
        device = await registry.get("a")
        assert device is not None
        found.append((device.online, device.last_changed))
        await registry.close()
    assert found == [(True, 4), (True, 4)]


async def test_removing_a_device_forgets_what_it_told(registry: Repository) -> None:
    await add(registry, "a")
    await registry.take_presence([told("a", "online", 1)], 9, limit=10)
    await registry.purge("a", ROOT, now=3)
    await add(registry, "a")
    device = await registry.get("a")
    assert device is not None
    assert device.online is None
