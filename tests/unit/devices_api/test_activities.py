"""When devices were last seen, and how many messages they have sent."""

import itertools

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.activity import Activity, Heard
from devices_api.access import ROOT
from devices_api.registry.devices import NewDevice
from devices_api.repository import Repository

_EXAMPLES = itertools.count()


def told(**devices: tuple[int, int]) -> Activity:
    return Activity(1, 0, {id_: Heard(messages, last) for id_, (messages, last) in devices.items()})


async def seen(registry: Repository, id_: str) -> tuple[int, int | None]:
    device = await registry.get(id_)
    assert device is not None
    return device.messages, device.last_seen


async def add(registry: Repository, *ids: str) -> None:
    for id_ in ids:
        await registry.create(NewDevice(id_, id_), ROOT, 1)


async def test_counts_add_up_and_the_newest_time_holds(registry: Repository) -> None:
    await add(registry, "a", "b")
    assert await seen(registry, "a") == (0, None)
    await registry.activities.take({1: told(a=(3, 50), b=(1, 10)), 2: told(a=(2, 40))}, 10)
    await registry.activities.take({3: told(a=(1, 60), b=(1, 5))}, 10)
    assert await seen(registry, "a") == (6, 60)
    assert await seen(registry, "b") == (2, 10)


async def test_a_message_that_comes_again_is_not_counted_again(registry: Repository) -> None:
    await add(registry, "a")
    await registry.activities.take({1: told(a=(1, 10)), 2: told(a=(1, 20))}, 10)
    await registry.activities.take({2: told(a=(1, 20)), 3: told(a=(1, 30))}, 10)
    assert await seen(registry, "a") == (3, 30)


async def test_of_devices_that_nobody_registered_so_many_are_kept_as_there_is_room_for(registry: Repository) -> None:
    await add(registry, "known")
    assert await registry.activities.take({1: told(x=(1, 1), y=(1, 1), z=(1, 1), known=(1, 1))}, 2) == 1
    assert await registry.activities.take({2: told(x=(1, 2), z=(1, 2))}, 2) == 1
    await add(registry, "x", "z")
    assert await seen(registry, "x") == (2, 2)
    assert await seen(registry, "z") == (0, None)
    assert await seen(registry, "known") == (1, 1)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9), st.integers(1, 99))), max_size=6), st.data()
)
async def test_however_messages_come_the_sums_are_those_of_all_of_them(
    registry: Repository, messages: list[list[tuple[str, int, int]]], data: st.DataObject
) -> None:
    base = next(_EXAMPLES)  # they share a registry
    before = {id_: (await registry.get(id_)) for id_ in "abc"}
    for id_, device in before.items():
        if device is None:
            await add(registry, id_)
    start = {id_: await seen(registry, id_) for id_ in "abc"}
    sent = {base * 1000 + n: told(**{id_: (count, at) for id_, count, at in of}) for n, of in enumerate(messages)}
    order = data.draw(st.lists(st.sampled_from(sorted(sent)), max_size=12), label="as they come") if sent else []
    for sequence in [*order, *sent]:
        await registry.activities.take({sequence: sent[sequence]}, 10)
    for id_, (count, last) in start.items():
        mine = [of.devices[id_] for of in sent.values() if id_ in of.devices]
        times = [time for time in (last, *(heard.last for heard in mine)) if time is not None]
        assert await seen(registry, id_) == (count + sum(h.messages for h in mine), max(times, default=None))


async def test_a_stream_that_is_made_anew_is_counted_anew(registry: Repository) -> None:
    await add(registry, "a")
    await registry.activities.take({1: Activity(1, 100, {"a": Heard(1, 10)})}, 10)
    await registry.activities.take({1: Activity(1, 200, {"a": Heard(1, 20)})}, 10)
    assert await seen(registry, "a") == (2, 20)
