import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.devices import Calibration, DeviceRecord, Metric, ProfileRecord, Retention
from contracts.presence import Presence
from devices_api.access import ROOT
from devices_api.errors import InUseError
from devices_api.registry.devices import (
    LONGEST_FACT,
    LONGEST_FACT_NAME,
    MOST_FACTS,
    NewDevice,
    learn,
)
from devices_api.registry.hearing import Taken
from devices_api.registry.profiles import NewProfile
from devices_api.repository import Repository


async def add(registry: Repository, profile: str, *ids: str) -> None:
    for id_ in ids:
        await registry.create(NewDevice(id_, id_, profile), ROOT, now=1)
    await settle(registry)


async def settle(registry: Repository) -> None:
    """Take everything off the outbox."""
    await registry.outbox.published([row for item in await registry.outbox.pending(100) for row in item.rows])


async def announced(registry: Repository) -> list[tuple[str, str]]:
    return [(item.kind, item.id) for item in await registry.outbox.pending(100)]


async def test_a_changed_profile_is_one_record_however_many_devices_it_has(registry: Repository) -> None:
    await add(registry, "orchard", "b", "a")
    profile, made = await registry.profiles.put("orchard", NewProfile({"t": Metric(max=1.0)}), ROOT, now=5)
    assert made
    assert (profile.created, profile.updated, profile.version) == (5, 5, 1)
    assert await announced(registry) == [("profile", "orchard")]
    [item] = await registry.outbox.pending(100)
    assert (item.key, item.record) == ("profile.orchard", ProfileRecord(1, "orchard", {"t": Metric(max=1.0)}))
    await settle(registry)
    profile, made = await registry.profiles.put("orchard", NewProfile({"t": Metric(max=2.0)}), ROOT, now=6)
    assert not made
    assert (profile.created, profile.updated, profile.version) == (5, 6, 2)
    assert await registry.profiles.get("orchard") == profile
    assert await announced(registry) == [("profile", "orchard")]


async def test_all_that_is_asked_of_devices_reaches_the_data_path(registry: Repository) -> None:
    new = NewProfile(
        {"t": Metric(unit="degC")},
        "Europe/Paris",
        keep_raw=True,
        message_rate="1:1",
        point_rate="2:1",
        computed={"power": "u * i"},
        retention=Retention(raw=7, d1=4000),
        interval=10.0,
    )
    await registry.profiles.put("orchard", new, ROOT, now=1)
    [item] = await registry.outbox.pending(10)
    shared = {name: value for name, value in vars(new).items() if name != "alerts"}
    assert item.record == ProfileRecord(1, "orchard", **shared)


async def test_a_profile_put_as_it_is_announces_nothing(registry: Repository) -> None:
    await add(registry, "orchard", "a")
    new = NewProfile({"t": Metric(calibration=[Calibration(1, 2.0, 3.0, [4.0])])}, "UTC", keep_raw=True)
    await registry.profiles.put("orchard", new, ROOT, now=1)
    await settle(registry)
    profile, made = await registry.profiles.put("orchard", new, ROOT, now=2)
    assert (profile.updated, made) == (1, False)
    assert await announced(registry) == []


async def test_a_profile_that_is_named_is_not_removed(registry: Repository) -> None:
    await registry.profiles.put("orchard", NewProfile(), ROOT, now=1)
    await add(registry, "orchard", "a")
    with pytest.raises(InUseError):
        await registry.profiles.remove("orchard", ROOT, now=4)
    assert await registry.profiles.get("orchard") is not None
    await registry.purge("a", ROOT, now=3)
    assert await registry.profiles.remove("orchard", ROOT, now=4)
    assert not await registry.profiles.remove("orchard", ROOT, now=4)


async def test_a_device_may_name_a_profile_before_it_is_made(registry: Repository) -> None:
    await registry.create(NewDevice("a", "a", "later"), ROOT, now=1)
    [item] = await registry.outbox.pending(10)
    assert item.record == DeviceRecord(1, "a", enabled=True, profile="later")


async def test_facts_replace_those_before_and_empty_ones_remove_them(registry: Repository) -> None:
    await add(registry, "p", "d")
    told = [
        Presence(1, "d", "described", 1, facts={"model": "ST-1", "firmware": "1.0", "name": "Still"}),
        Presence(1, "d", "described", 2, facts={"firmware": "1.1", "name": ""}),
        Presence(1, "stranger", "described", 3, facts={"model": "X", "firmware": "2"}),
    ]
    assert await registry.take_presence(told, 9, limit=10) == Taken(unregistered_facts=2)
    found = await registry.get("d")
    assert found is not None
    assert found.facts == {"model": "ST-1", "firmware": "1.1"}
    assert (found.online, found.updated) == (None, 1), "it says nothing of being online, and is no change of ours"
    assert await announced(registry) == []


async def test_a_device_seen_and_described_at_once_keeps_its_facts(registry: Repository) -> None:
    told = [Presence(1, "d", "described", 1, facts={"model": "X"}), Presence(1, "d", "seen", 1)]
    assert await registry.take_presence(told, 9, limit=10) == Taken(registered=1)
    found = await registry.get("d")
    assert found is not None
    assert found.facts == {"model": "X"}


async def test_too_many_facts_are_refused_and_counted(registry: Repository) -> None:
    await add(registry, "p", "d")
    many = {f"fact {number:03}": "x" for number in range(MOST_FACTS + 5)}
    told = [Presence(1, "d", "described", 1, facts=many)]
    assert await registry.take_presence(told, 9, limit=10) == Taken(refused_facts=5)


async def test_why_a_device_went_offline_is_kept(registry: Repository) -> None:
    await add(registry, "p", "d")
    for at, state, reason in ((1, "online", ""), (2, "offline", "old will"), (3, "offline", "x" * 999)):
        await registry.take_presence([Presence(1, "d", state, at, reason)], 9, limit=10)  # type: ignore[arg-type]  # states
    found = await registry.get("d")
    assert found is not None
    assert (found.online, found.last_changed, found.reason) == (False, 2, "x" * 256)


FACTS = st.dictionaries(st.text(max_size=300), st.text(max_size=3) | st.just("x" * (LONGEST_FACT + 1)), max_size=6)


@given(st.lists(FACTS, max_size=5))
def test_what_is_known_of_a_device_is_bounded(told: list[dict[str, str]]) -> None:
    known: dict[str, str] = {}
    for facts in told:
        before = dict(known)
        known, refused = learn(known, facts)
        kept = sum(known.get(name) == value for name, value in facts.items() if value)
        assert kept + refused == sum(bool(value) for value in facts.values())
        assert all(known[name] == before[name] for name in before.keys() - facts.keys())
        assert not any(name in known for name, value in facts.items() if not value)
    assert all(0 < len(name.encode()) <= LONGEST_FACT_NAME for name in known)
    assert all(0 < len(value.encode()) <= LONGEST_FACT for value in known.values())
