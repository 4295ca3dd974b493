"""All notification groups of the service in memory: which alerts are in which, and which group is due. Pure.

Whoever holds a plan writes down each group that has changed; a plan is built again from what was written.
"""

import heapq
from collections.abc import Iterable, Mapping

from alerting.notify.configuration import Configuration
from alerting.notify.grouping import Facts, Group, Look, Member, look, ready_at
from alerting.notify.inhibition import Sources
from alerting.notify.muting import Mutes, Muting
from alerting.notify.routing import Route, which_routes

Due = int | None

_MOST_STALE = 1000
"""Entries of the queue that may be of times that have changed since."""


class Plan:
    """The groups under one configuration. Times in ns since 1970 UTC.

    `changed` are the keys of the groups to be written, or deleted where they are gone.
    """

    def __init__(
        self, configuration: Configuration, groups: Mapping[str, tuple[Group, Due]], firing: Iterable[Facts] = ()
    ) -> None:
        """Build it; `firing` are all alerts that fire, needed where there are inhibitions."""
        self.configuration = configuration
        self.changed: set[str] = set()
        self._groups = {key: group for key, (group, _) in groups.items()}
        self._where: dict[str, set[str]] = {}
        for key, group in self._groups.items():
            for name in group.members:
                self._where.setdefault(name, set()).add(key)
        self._due: dict[str, int] = {}
        self._queue: list[tuple[int, str]] = []
        for key, (_, due) in groups.items():
            if due is not None:
                self._set_due(key, due)
        self._routes = _by_id(configuration.root)
        self._sources = Sources(configuration.inhibitions, ((fact.id, fact.labels) for fact in firing))

    def __len__(self) -> int:
        return len(self._groups)

    def group(self, key: str) -> Group | None:
        """Give a group; None if there is none."""
        return self._groups.get(key)

    def due_of(self, key: str) -> Due:
        """Give when to look at a group."""
        return self._due.get(key)

    def put(self, fact: Facts, now: int, *, join: bool = False) -> None:
        """Take in how an alert stands: to the groups to which it is routed, and for those that know it to be looked at.

        One that fires no more is in those that are to be told of its end; with `join` it is put into them even so.
        """
        if fact.firing:
            self._sources.put(fact.id, fact.labels)
        else:
            self._sources.remove(fact.id)
        if fact.notify and (fact.firing or (join and fact.id not in self._where)):
            self._route(fact, now)
        for key in self._where.get(fact.id, ()):
            self._touch(key, now)

    def reconfigure(self, configuration: Configuration, firing: Iterable[Facts], now: int) -> None:
        """Go on under another configuration, with all alerts that fire. Every group is to be looked at."""
        self.configuration, self._routes = configuration, _by_id(configuration.root)
        self._sources = Sources(configuration.inhibitions)
        for fact in firing:
            self.put(fact, now)
        for key in self._groups:
            self._set_due(key, now)

    def silence(self, configuration: Configuration, now: int) -> None:
        """Go on under a configuration that differs in silences alone."""
        self.configuration = configuration
        for key, group in self._groups.items():
            if group.muted:
                self._set_due(key, now)

    def next_due(self) -> Due:
        """Give when the next group is due."""
        while self._queue and self._due.get(self._queue[0][1]) != self._queue[0][0]:
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None

    def take_due(self, now: int, most: int) -> list[str]:
        """Give the keys of groups that are due, the longest due first, with about `most` alerts in them."""
        keys: list[str] = []
        alerts = 0
        while alerts < most and (due := self.next_due()) is not None and due <= now:
            key = heapq.heappop(self._queue)[1]
            del self._due[key]
            keys.append(key)
            alerts += len(self._groups[key].members) + 1
        return keys

    def members(self, keys: Iterable[str]) -> set[str]:
        """Give the ids of the alerts in groups."""
        return {name for key in keys for name in self._groups[key].members}

    def look(self, keys: Iterable[str], facts: Mapping[str, Facts], now: int) -> list[tuple[str, Group, Look]]:
        """Look at groups, with the `facts` of all alerts in them. Those that are left without an alert are gone."""
        mutes = Mutes(self.configuration.silences, self._sources, now)

        def muting(fact: Facts) -> Muting | None:
            return mutes.of(fact.labels, fact.shelved_until)

        looks = []
        for key in keys:
            group = self._groups[key]
            before = set(group.members)
            found = look(group, facts, self._routes.get(group.route), muting, self.configuration.deaf, now)
            for name in before - group.members.keys():
                self._forget(name, key)
            self._due.pop(key, None)
            if not group.members:
                del self._groups[key]
            elif found.due is not None:
                self._set_due(key, found.due)
            self.changed.add(key)
            looks.append((key, group, found))
        return looks

    def _route(self, fact: Facts, now: int) -> None:
        """Put an alert into the groups to which it is routed, and take it from the others.

        What a receiver knows of it goes along to a group that tells the same receiver: it is not told again for that.
        """
        wanted = {
            route.group_key(fact.labels): route
            for route in which_routes(self.configuration.root, fact.labels)
            if route.steps is not None
        }
        told: dict[str, tuple[int, Due]] = {}
        receivers = {name for route in wanted.values() if route.steps is not None for name in route.steps.receivers}
        for key in [key for key in self._where.get(fact.id, ()) if key not in wanted]:
            told |= self._leave(key, fact.id, receivers)
        for key, route in wanted.items():
            self._join(key, route, fact, told, now)

    def _leave(self, key: str, name: str, receivers: set[str]) -> dict[str, tuple[int, Due]]:
        """Take an alert from a group; gives what those of `receivers` know, who will be told elsewhere."""
        group = self._groups[key]
        member = group.members[name]
        self.changed.add(key)
        moved = {receiver: member.told.pop(receiver) for receiver in list(member.told) if receiver in receivers}
        member.left = True
        if not member.told:
            del group.members[name]
            self._forget(name, key)
            if not group.members:
                del self._groups[key]
                self._due.pop(key, None)
        return {receiver: (level, group.told_at) for receiver, level in moved.items()}

    def _join(self, key: str, route: Route, fact: Facts, told: Mapping[str, tuple[int, Due]], now: int) -> None:
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(route.id, route.group_labels(fact.labels), now)
        member = group.members.get(fact.id)
        if member is None:
            member = group.members[fact.id] = Member()
            self._where.setdefault(fact.id, set()).add(key)
        elif not member.left:
            return  # as it was: nothing to write
        member.left = False
        self.changed.add(key)
        for receiver, (level, told_at) in told.items():
            if route.steps is not None and receiver in route.steps.receivers:
                member.told.setdefault(receiver, level)
                group.told_at = group.told_at or told_at

    def _forget(self, name: str, key: str) -> None:
        keys = self._where[name]
        keys.discard(key)
        if not keys:
            del self._where[name]

    def _touch(self, key: str, now: int) -> None:
        group = self._groups[key]
        at = max(now, ready_at(group, self._routes.get(group.route)))
        due = self._due.get(key)
        if due is None or at < due:
            self._set_due(key, at)
            self.changed.add(key)

    def _set_due(self, key: str, at: int) -> None:
        self._due[key] = at
        heapq.heappush(self._queue, (at, key))
        if len(self._queue) > 2 * len(self._due) + _MOST_STALE:
            self._queue = [(due, key) for key, due in self._due.items()]
            heapq.heapify(self._queue)


def _by_id(root: Route) -> dict[str, Route]:
    found = {root.id: root}
    for route in root.routes:
        found |= _by_id(route)
    return found
