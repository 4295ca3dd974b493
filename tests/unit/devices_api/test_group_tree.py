"""The tree of groups against a dictionary: paths, counts, who sees which devices, and what the bucket is told."""

from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from contracts.devices import DeviceRecord
from devices_api.access import ROOT, Principal, Scope
from devices_api.errors import ExistsError, NotEmptyError, OutOfSightError, TreeError, UnknownGroupError
from devices_api.lists.buckets import By
from devices_api.lists.choice import Chosen, Order
from devices_api.lists.filters import parse
from devices_api.registry.devices import NewDevice
from devices_api.registry.groups import DEEPEST, NewGroup
from devices_api.repository import Repository
from devices_api.tables import metadata
from devices_api.twins.commands import Order as Command

DEVICES = ("d", "e", "f")
GROUPS = ("a", "b", "a_b", "a-b", "B")
groups = st.sampled_from(GROUPS)
places = st.none() | groups
STEPS = st.lists(
    st.tuples(st.just("make"), groups, places)
    | st.tuples(st.just("move"), groups, places)
    | st.tuples(st.just("remove"), groups, places)
    | st.tuples(st.sampled_from(["put in", "take out"]), groups, st.sampled_from(DEVICES))
    | st.tuples(st.sampled_from(["delete", "restore"]), st.sampled_from(DEVICES), st.none()),
    min_size=10,
    max_size=40,
)


@dataclass
class Model:
    """What the registry has to hold."""

    parents: dict[str, str | None] = field(default_factory=dict)
    members: dict[str, set[str]] = field(default_factory=lambda: {id_: set() for id_ in DEVICES})
    deleted: set[str] = field(default_factory=set)

    def path(self, id_: str | None) -> list[str]:
        return [] if id_ is None else [*self.path(self.parents[id_]), id_]

    def above(self, device: str) -> set[str]:
        """The groups that a device is in and all above them."""
        return {id_ for of in self.members[device] for id_ in self.path(of)}

    def inside(self, group: str) -> set[str]:
        return {id_ for id_ in DEVICES if group in self.above(id_) and id_ not in self.deleted}

    def make(self, id_: str, parent: str | None) -> type[Exception] | None:
        if parent is not None and parent not in self.parents:
            return UnknownGroupError
        if id_ in self.parents:
            return ExistsError
        self.parents[id_] = parent
        return None

    def move(self, id_: str, parent: str | None) -> type[Exception] | None:
        if id_ not in self.parents or parent == self.parents[id_]:
            return None
        if parent is not None and parent not in self.parents:
            return UnknownGroupError
        if id_ in self.path(parent):
            return TreeError
        self.parents[id_] = parent
        return None

    def remove(self, id_: str, into: str | None) -> type[Exception] | None:
        if id_ not in self.parents:
            return None
        if into is not None:
            if into not in self.parents:
                return UnknownGroupError
            if id_ in self.path(into):
                return TreeError
            self.parents |= {child: into for child, parent in self.parents.items() if parent == id_}
            for of in self.members.values():
                if id_ in of:
                    of.symmetric_difference_update({id_})
                    of.add(into)
        if id_ in self.parents.values() or any(id_ in of for of in self.members.values()):
            return NotEmptyError
        del self.parents[id_]
        return None

    def regroup(self, what: str, id_: str, device: str) -> type[Exception] | None:
        if id_ not in self.parents:
            return UnknownGroupError
        if device not in self.deleted:
            (self.members[device].add if what == "put in" else self.members[device].discard)(id_)
        return None


async def step(registry: Repository, model: Model, what: str, id_: str, other: Any) -> None:  # noqa: ANN401 - a name or none
    expected: type[Exception] | None = None
    doing: Coroutine[Any, Any, object]
    match what:
        case "make":
            expected, doing = model.make(id_, other), registry.groups.create(NewGroup(id_, id_, other), ROOT, 1)
        case "move":
            expected, doing = model.move(id_, other), registry.groups.change(id_, {"parent": other}, ROOT, 1)
        case "remove":
            expected, doing = model.remove(id_, other), registry.groups.remove(id_, ROOT, 1, move_to=other)
        case "put in":
            expected, doing = model.regroup(what, id_, other), registry.groups.put_in(id_, other, ROOT, 1)
        case "take out":
            expected, doing = model.regroup(what, id_, other), registry.groups.take_out(id_, other, ROOT, 1)
        case "delete":
            model.deleted.add(id_)
            doing = registry.remove(id_, ROOT, 1)
        case _:
            model.deleted.discard(id_)
            doing = registry.restore(id_, ROOT, 1)
    if expected is None:
        await doing
    else:
        with pytest.raises(expected):
            await doing


async def publish(registry: Repository, bucket: dict[str, DeviceRecord]) -> None:
    pending = await registry.outbox.pending(100)
    bucket |= {item.id: item.record for item in pending if isinstance(item.record, DeviceRecord)}
    await registry.outbox.published([row for item in pending for row in item.rows])


async def empty(registry: Repository) -> None:
    engine = registry._engine  # noqa: SLF001 - nothing else empties a registry
    async with engine.begin() as db:
        for table in reversed(metadata.sorted_tables):
            await db.execute(delete(table))
    for id_ in DEVICES:
        await registry.create(NewDevice(id_, id_), ROOT, now=1)


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[__import__("hypothesis").Phase.generate],
    database=None,
)
@given(steps=STEPS)
async def test_the_tree_is_what_was_done_to_it(registry: Repository, steps: list[tuple[str, str, Any]]) -> None:
    await empty(registry)
    model, bucket = Model(), dict[str, DeviceRecord]()
    for what, id_, other in steps:
        await step(registry, model, what, id_, other)
        await publish(registry, bucket)
    found = await registry.groups.page(None, 100)
    assert [list(group.path) for group in found] == sorted(map(model.path, model.parents), key=_in_the_tree)
    assert {group.id: (group.direct, group.below) for group in found} == {
        id_: (
            len([device for device in model.inside(id_) if id_ in model.members[device]]),
            len(model.inside(id_)),
        )
        for id_ in model.parents
    }
    records = {id_: (record.groups, record.enabled) for id_, record in bucket.items()}
    assert records == {id_: (sorted(model.above(id_)), id_ not in model.deleted) for id_ in DEVICES}
    for id_ in GROUPS:
        view = frozenset({id_})
        devices = (await registry.lists.page(view, Chosen(), Order(), None, 10)).devices
        assert {device.id for device in devices} == model.inside(id_)
        below = {of for of in model.parents if id_ in model.path(of)}
        assert {group.id for group in await registry.groups.page(None, 10, view)} == below
        for device in devices:
            assert device.groups == sorted(model.members[device.id] & below)


def _in_the_tree(path: list[str]) -> str:
    return f"/{'/'.join(path)}/"


def limited(*view: str) -> Principal:
    return Principal("kim", frozenset({Scope.WRITE}), frozenset(view))


async def tree(registry: Repository, **parents: str | None) -> None:
    for id_, parent in parents.items():
        await registry.groups.create(NewGroup(id_, id_, parent), ROOT, now=1)


async def test_the_tree_is_bounded(registry: Repository) -> None:
    for level in range(DEEPEST):
        await tree(registry, **{f"g{level}": f"g{level - 1}" if level else None})
    await tree(registry, other=None, below="other")
    with pytest.raises(TreeError, match="16 levels"):
        await tree(registry, deeper=f"g{DEEPEST - 1}")
    with pytest.raises(TreeError, match="16 levels"):
        await registry.groups.change("other", {"parent": f"g{DEEPEST - 2}"}, ROOT, now=2)
    assert (await registry.groups.change("other", {"parent": f"g{DEEPEST - 3}"}, ROOT, now=2)) is not None


async def test_who_is_limited_makes_and_moves_only_below_what_is_theirs(registry: Repository) -> None:
    await tree(registry, top=None, mine="top", inner="mine", foreign="top")
    by = limited("mine")
    made = await registry.groups.create(NewGroup("new", "new", "inner"), by, now=2)
    assert made.path == ("top", "mine", "inner", "new")
    for parent, refusal in ((None, OutOfSightError), ("foreign", UnknownGroupError), ("top", UnknownGroupError)):
        with pytest.raises(refusal):
            await registry.groups.create(NewGroup("x", "x", parent), by, now=2)
        with pytest.raises(refusal):
            await registry.groups.change("new", {"parent": parent}, by, now=2)
    with pytest.raises(OutOfSightError):
        await registry.groups.change("mine", {"parent": None}, by, now=2)
    with pytest.raises(OutOfSightError):
        await registry.groups.remove("mine", by, now=2, move_to="inner")
    assert await registry.groups.change("foreign", {"name": "x"}, by, now=2) is None
    assert not await registry.groups.remove("foreign", by, now=2)


async def test_who_is_limited_keeps_devices_in_sight_and_leaves_foreign_groups_alone(registry: Repository) -> None:
    await tree(registry, mine=None, inner="mine", foreign=None)
    by = limited("mine")
    for groups_, refusal in (([], OutOfSightError), (["foreign"], UnknownGroupError)):
        with pytest.raises(refusal):
            await registry.create(NewDevice("d", "d", groups=groups_), by, now=2)
    assert (await registry.create(NewDevice("d", "d", groups=["inner"]), by, now=2)).groups == ["inner"]
    await registry.groups.put_in("foreign", "d", ROOT, now=3)
    for groups_, refusal in (([], OutOfSightError), (["foreign"], UnknownGroupError)):
        with pytest.raises(refusal):
            await registry.change("d", {"groups": groups_}, by, now=4)
    changed = await registry.change("d", {"groups": ["mine"]}, by, now=4)
    assert changed is not None
    assert changed.groups == ["mine"]
    whole = await registry.get("d")
    assert whole is not None
    assert whole.groups == ["foreign", "mine"]
    with pytest.raises(OutOfSightError):
        await registry.groups.take_out("mine", "d", by, now=5)
    await registry.create(NewDevice("hidden", "hidden", groups=["foreign"]), ROOT, now=5)
    assert await registry.change("hidden", {"name": "x"}, by, now=6) is None
    assert await registry.remove("hidden", by, now=6) is None
    assert await registry.groups.put_in("mine", "hidden", by, now=6) is None
    with pytest.raises(ExistsError) as refused:
        await registry.create(NewDevice("hidden", "hidden", groups=["mine"]), by, now=6)
    assert not refused.value.deleted


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ('group eq "mine"', True),
        ('group eq "inner"', True),
        ('group in ("foreign", "inner")', True),
        ("exists group", True),
        ('group eq "foreign"', False),
        ('not group eq "foreign"', True),
        ('group eq "top"', False),
    ],
)
async def test_no_filter_tells_of_a_group_that_is_not_seen(registry: Repository, text: str, *, taken: bool) -> None:
    await tree(registry, top=None, mine="top", inner="mine", foreign="top")
    await registry.create(NewDevice("d", "d", groups=["foreign", "inner"]), ROOT, now=1)
    kim, filter_ = limited("mine"), parse(text)
    expected = ["d"] if taken else []
    page = await registry.lists.page(kim.view, Chosen(filter_), Order(), None, 10)
    assert [device.id for device in page.devices] == expected
    counts = await registry.lists.counts(kim.view, Chosen(filter_), By("group"), 10)
    assert [bucket.value for bucket in counts.buckets] == (["inner", "mine"] if taken else [])
    assert sorted(await registry.matching({"d"}, filter_, kim.view)) == expected
    assert list(await registry.addressed.page(filter_, kim.view, "", 10)) == expected
    commands, _ = await registry.commands.send_all(filter_, Command("stop", {}, 1, 1), kim, now=2)
    assert [command.device for command in commands] == expected
