"""Routes: who is told of an alert with these labels, together with which others, and how often. Pure.

The semantics are Alertmanager's; docs/decisions/0034-notifications.md says where they differ.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Literal, Self

import msgspec
from pydantic import BaseModel, ConfigDict, Field, model_validator

from alerting.calendars import Calendar
from alerting.notify.chains import Chain, ReceiverId, only
from alerting.notify.inhibition import InhibitionSpec
from alerting.notify.matching import Matcher, Matchers, compiled, match_all
from alerting.rules.common import Duration, LabelName
from alerting.schedules import Hours, Schedule
from contracts.durations import SECOND, parse_duration

MOST_ROUTES = 1000
MOST_DEPTH = 10

ALL_LABELS = "..."
"""In group_by: every label, so that each alert is told by itself."""

BUILT_IN = "default"
"""The receiver that is there without a document: the URL that the service was started with."""


class RouteSpec(BaseModel):
    """A node of the tree. What it does not say, it has from the node above."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True)

    matchers: Matchers = Field(default=[], description='Like severity="critical"; the node is for alerts that meet all')
    receiver: ReceiverId | None = Field(default=None, description="Who is told")
    chain: ReceiverId | None = Field(default=None, description="An escalation chain, in place of a receiver")
    continue_: bool = Field(default=False, alias="continue", description="Whether nodes behind it are looked at too")
    group_by: list[LabelName | Literal["..."]] | None = Field(
        default=None, max_length=20, description="Labels by which alerts are told together; ... alone for all of them"
    )
    group_wait: Duration | None = Field(default=None, description="Until the first notification of a group; 30s")
    group_interval: Duration | None = Field(default=None, description="From one with news to the next; 5m")
    repeat_interval: Duration | None = Field(default=None, description="Until the same is said again; 4h")
    mute: Schedule | None = Field(default=None, description="When nothing is told; the node's own, not passed on")
    active: Schedule | None = Field(default=None, description="When alone something is told; not passed on")
    routes: list["RouteSpec"] = Field(default=[], max_length=MOST_ROUTES)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.receiver is not None and self.chain is not None:
            raise ValueError("give either receiver or chain")
        if self.group_by is not None and ALL_LABELS in self.group_by and len(self.group_by) > 1:
            raise ValueError("in group_by, ... stands alone")
        if self.group_by is not None and len(set(self.group_by)) != len(self.group_by):
            raise ValueError("group_by names a label twice")
        if self.repeat_interval is not None and parse_duration(self.repeat_interval) < SECOND:
            raise ValueError("repeat_interval has to be at least 1s")
        return self


class RoutingSpec(BaseModel):
    """The routing document: the tree from its root, and the inhibitions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    route: RouteSpec
    inhibitions: Annotated[list[InhibitionSpec], Field(max_length=200)] = []

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.route.matchers or self.route.continue_:
            raise ValueError("the root is for every alert: it has neither matchers nor continue")
        if _depth(self.route) > MOST_DEPTH:
            raise ValueError(f"routes are nested more than {MOST_DEPTH} deep")
        if sum(1 for _ in _nodes(self.route)) > MOST_ROUTES:
            raise ValueError(f"there are more than {MOST_ROUTES} routes")
        return self


def default_routing(*, built_in: bool) -> RoutingSpec:
    """Give what holds where nobody has written any: with a built-in receiver it is told of each change at once."""
    return RoutingSpec(
        route=RouteSpec(
            receiver=BUILT_IN if built_in else None,
            group_by=["alertname", "device", "group"],
            group_wait="0s",
            group_interval="0s",
        )
    )


class Timing(msgspec.Struct, frozen=True):
    """When a group is told, in ns."""

    wait: int = 30 * SECOND
    interval: int = 300 * SECOND
    repeat: int = 14_400 * SECOND


class Route(msgspec.Struct, frozen=True):
    """A node ready for use.

    `id` stays the same while the matchers on the way to it, and whom it tells, do. `receiver` or `chain` is its name;
    `steps` is what comes of it, None where nobody is told. `group_by` None: by all labels.
    """

    id: str
    matchers: tuple[Matcher, ...]
    receiver: str | None
    chain: str | None
    steps: Chain | None
    continues: bool
    group_by: tuple[str, ...] | None
    timing: Timing
    mute: Hours | None
    active: Hours | None
    routes: tuple["Route", ...]

    def muted_until(self, now: int) -> int | None:
        """Give the time up to which its schedules mute it at least; None if they do not mute it `now`."""
        ends = []
        if self.mute is not None and self.mute.active(now):
            ends.append(self.mute.next_change(now))
        if self.active is not None and not self.active.active(now):
            ends.append(self.active.next_change(now))
        return max(ends, default=None)

    def group_labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        """Give those of `labels` by which alerts are told together."""
        names = sorted(labels) if self.group_by is None else self.group_by
        return {name: labels[name] for name in names if name in labels}

    def group_key(self, labels: Mapping[str, str]) -> str:
        """Give the key of the group that an alert with these labels is in."""
        return _digest(self.id, *(f"{name}={value}" for name, value in self.group_labels(labels).items()))


def which_routes(root: Route, labels: Mapping[str, str]) -> list[Route]:
    """Give the nodes that tell of an alert: the deepest that it meets, the first of its siblings unless they continue.

    Alerts that no child of a node is for, are the node's own.
    """
    if not match_all(root.matchers, labels):
        return []
    found: list[Route] = []
    for route in root.routes:
        deeper = which_routes(route, labels)
        found += deeper
        if deeper and not route.continues:
            break
    return found or [root]


def compile_routes(
    spec: RouteSpec, chains: Mapping[str, Chain], calendars: Mapping[str, Calendar], absent: Collection[str] = ()
) -> Route:
    """Make a tree ready for use; a route to a receiver in `absent` tells nobody.

    Raises ValueError, in words for its author, if a chain or calendar is not there.
    """
    return _Compiling(chains, calendars, absent).route(spec, None, "")


def receivers_problem(spec: RouteSpec, receivers: Collection[str]) -> str | None:
    """Say which receiver of a tree is not there; None if all are."""
    for node in _nodes(spec):
        if node.receiver is not None and node.receiver not in receivers:
            return f"a route names the receiver {node.receiver!r}, which is not there"
    return None


class _Compiling:
    """The tree on its way: all that its nodes may name, and the ids that are taken."""

    def __init__(self, chains: Mapping[str, Chain], calendars: Mapping[str, Calendar], absent: Collection[str]) -> None:
        self._chains, self._calendars, self._absent = chains, calendars, absent
        self._taken: set[str] = set()

    def route(self, spec: RouteSpec, above: Route | None, path: str) -> Route:
        """Make a node ready for use, and those below it."""
        matchers = compiled(spec.matchers)
        receiver, chain = spec.receiver, spec.chain
        if receiver is None and chain is None and above is not None:
            receiver, chain = above.receiver, above.chain
        path = f"{path}/{{{','.join(sorted(map(str, matchers)))}}}"
        group_by = ("alertname",) if above is None else above.group_by
        if spec.group_by is not None:
            group_by = None if ALL_LABELS in spec.group_by else tuple(sorted(spec.group_by))
        route = Route(
            id=self._id(path, receiver or "", chain or ""),
            matchers=matchers,
            receiver=receiver,
            chain=chain,
            steps=self._steps(receiver, chain),
            continues=spec.continue_,
            group_by=group_by,
            timing=_timing(spec, Timing() if above is None else above.timing),
            mute=None if spec.mute is None else Hours(spec.mute, self._calendars),
            active=None if spec.active is None else Hours(spec.active, self._calendars),
            routes=(),
        )
        return msgspec.structs.replace(route, routes=tuple(self.route(child, route, path) for child in spec.routes))

    def _id(self, *parts: str) -> str:
        name, times = _digest(*parts), 0
        while name in self._taken:
            times += 1
            name = _digest(*parts, str(times))
        self._taken.add(name)
        return name

    def _steps(self, receiver: str | None, chain: str | None) -> Chain | None:
        if chain is not None and chain not in self._chains:
            raise ValueError(f"a route names the chain {chain!r}, which is not there")
        if chain is not None:
            return self._chains[chain]
        return None if receiver is None or receiver in self._absent else only(receiver)


def _timing(spec: RouteSpec, above: Timing) -> Timing:
    given = (spec.group_wait, spec.group_interval, spec.repeat_interval)
    inherited = (above.wait, above.interval, above.repeat)
    return Timing(*(old if new is None else parse_duration(new) for new, old in zip(given, inherited, strict=True)))


def _nodes(spec: RouteSpec) -> Iterator[RouteSpec]:
    yield spec
    for child in spec.routes:
        yield from _nodes(child)


def _depth(spec: RouteSpec) -> int:
    return 1 + max((_depth(child) for child in spec.routes), default=0)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
