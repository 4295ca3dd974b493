"""A notification group: alerts that are told together, what each receiver knows of them, and what is due. Pure.

`look` decides everything. It goes by what is known, not by what has happened in between: so it may come late, or twice.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import msgspec

from alerting.notify.muting import Muting
from alerting.notify.routing import Route

MOST_ALERTS = 1000
"""Alerts in one notification. If more than that have something new, the others follow in further ones."""

AGAIN = 0
"""In place of a level: the receiver knows of the alert, and is to be told anew."""


class Facts(msgspec.Struct, frozen=True):
    """An alert as it stands, as far as it decides who is told.

    `acknowledged` while somebody knows of it at this level, until `acknowledged_until` (None: no end), in ns.
    `notify`: its rule wants it told.
    """

    id: str
    labels: dict[str, str]
    firing: bool
    level: int
    acknowledged: bool = False
    acknowledged_until: int | None = None
    shelved_until: int | None = None
    notify: bool = True


class Member(msgspec.Struct, omit_defaults=True):
    """An alert in a group: the level at which each receiver was last told that it fires.

    `left`: it is routed elsewhere now; who was told of it is only told of its end. `known`: it was acknowledged.
    """

    told: dict[str, int] = {}
    left: bool = False
    known: bool = False


class Group(msgspec.Struct, omit_defaults=True):
    """What is on disk of a group. Times in ns since 1970 UTC.

    `told_at` is when something was last told. `began` is when its chain began, of which `steps` are done. `muted`:
    an alert fires of which nobody is told for now.
    """

    route: str
    labels: dict[str, str]
    born: int
    members: dict[str, Member] = {}
    told_at: int | None = None
    began: int | None = None
    steps: int = 0
    muted: bool = False


Reason = Literal["new", "changed", "repeat", "chain"]


class Say(msgspec.Struct, frozen=True):
    """A notification to be made: of which alerts, those with something new first, and how many were left out."""

    receiver: str
    reason: Reason
    alerts: list[str]
    truncated: int


class Look(msgspec.Struct):
    """What came of a look at a group: what is said now, and when to look again; None: only once something changes."""

    says: list[Say]
    due: int | None


class _Sorted(msgspec.Struct):
    """The members of a group, by what there is to do about them."""

    active: list[str] = []
    """They fire, and are neither muted nor acknowledged."""
    known: list[str] = []
    """They fire and are acknowledged."""
    ended: list[str] = []
    times: list[int] = []


def look(
    group: Group,
    facts: Mapping[str, Facts],
    route: Route | None,
    muting: Callable[[Facts], Muting | None],
    deaf: Callable[[str], bool],
    now: int,
) -> Look:
    """Bring `group` up to date with its alerts, of which those without `facts` are no more, and say what is due.

    `route` None, or one that tells nobody: it is no longer there. `deaf` says which receivers are told of no end.
    """
    route = None if route is None or route.steps is None else route
    ready = ready_at(group, route)
    found = _sort(group, facts, route, muting, now)
    forced = _escalate(group, route, active=bool(found.active), ready=ready, now=now)
    audience = _audience(group, route)
    if now >= ready:
        _owe(group, found, audience or _audience(group, route, 1), facts, deaf)
    repeat = bool(found.active) and group.told_at is not None and now >= _repeat(group, route)
    says: list[Say] = []
    more = False
    for receiver in dict.fromkeys([*audience, *(name for ended in found.ended for name in group.members[ended].told)]):
        new, changed = _news(group, found, facts, receiver, heard=receiver in audience)
        news, comes = new + changed, receiver in forced
        if now < ready and not comes:
            if news:
                found.times.append(ready)
        elif news or comes or (repeat and receiver in audience):
            reason: Reason = "chain" if comes else "new" if new else "changed" if changed else "repeat"
            says.append(_say(group, found, facts, receiver, news, reason))
            more = more or len(news) > MOST_ALERTS
    if more:
        found.times.append(now)  # the rest follows at once: only then everything is told
    elif any(say.reason != "chain" for say in says):
        group.told_at = now
    _forget(group, found, ready, now)
    if found.active and route is not None:
        found.times.append(_next(group, route, ready))
    return Look(says, min(found.times, default=None))


def _forget(group: Group, found: _Sorted, ready: int, now: int) -> None:
    """Let go of the alerts whose end nobody has to be told any more."""
    for ended in found.ended:
        if now < ready:
            found.times.append(ready)
        elif not group.members[ended].told:
            del group.members[ended]


def _next(group: Group, route: Route, ready: int) -> int:
    """Give the time of the next repeat or step of the chain."""
    if group.began is None or route.steps is None:
        return ready
    steps = route.steps.steps
    times = [] if group.told_at is None else [_repeat(group, route)]
    if group.steps < len(steps):
        times.append(group.began + steps[group.steps].after)
    return min(times, default=ready)


def _audience(group: Group, route: Route | None, least: int = 0) -> list[str]:
    """Give the receivers to which the chain has come, or to which it comes in its `least` first steps."""
    if route is None or route.steps is None:
        return []
    steps = route.steps.steps[: max(group.steps, least)]
    return list(dict.fromkeys(receiver for step in steps for receiver in step.receivers))


def ready_at(group: Group, route: Route | None) -> int:
    """Give the time from which on news may be told."""
    if route is None:
        return 0
    return group.born + route.timing.wait if group.told_at is None else group.told_at + route.timing.interval


def _repeat(group: Group, route: Route | None) -> int:
    return (group.told_at or 0) + (max(route.timing.repeat, route.timing.interval) if route is not None else 0)


def _sort(
    group: Group, facts: Mapping[str, Facts], route: Route | None, muting: Callable[[Facts], Muting | None], now: int
) -> _Sorted:
    """Sort the members. Those that end without that anybody knows of them, or wants to, go."""
    found = _Sorted()
    closed = route.muted_until(now) if route is not None else None
    group.muted = False
    for name, member in list(group.members.items()):
        fact = facts.get(name)
        if fact is None or ((member.left or route is None) and not member.told):
            del group.members[name]
            continue
        member.left = member.left or route is None
        mute = Muting(until=closed) if closed is not None else None if member.left else muting(fact)
        if fact.firing:
            if not member.left:
                _sort_firing(group, member, fact, mute, found)
        elif member.told or (mute is None and not fact.acknowledged):
            found.ended.append(name)
        else:
            del group.members[name]
    return found


def _sort_firing(group: Group, member: Member, fact: Facts, mute: Muting | None, found: _Sorted) -> None:
    if mute is not None or not fact.notify:
        group.muted = True
        if mute is not None and mute.until is not None:
            found.times.append(mute.until)
    elif fact.acknowledged:
        member.known = True
        found.known.append(fact.id)
        if fact.acknowledged_until is not None:
            found.times.append(fact.acknowledged_until)
    else:
        if member.known:
            member.known = False
            member.told = dict.fromkeys(member.told, AGAIN)
        found.active.append(fact.id)


def _escalate(group: Group, route: Route | None, *, active: bool, ready: int, now: int) -> set[str]:
    """Go on in the chain while there is an alert that nobody knows of. Gives whom it comes to, but for the first."""
    if route is None or route.steps is None or not active:
        group.began, group.steps = None, 0
        return set()
    if group.began is None:
        if now < ready:
            return set()
        group.began, group.steps = now, 0
    forced: set[str] = set()
    steps = route.steps.steps
    while group.steps < len(steps) and group.began + steps[group.steps].after <= now:
        if group.steps > 0:
            forced.update(steps[group.steps].receivers)
        group.steps += 1
    return forced


def _owe(
    group: Group, found: _Sorted, receivers: Iterable[str], facts: Mapping[str, Facts], deaf: Callable[[str], bool]
) -> None:
    """Note who is to be told of what has ended: who was told that it fired, or if nobody was, who would have been."""
    for name in found.ended:
        member = group.members[name]
        owed = member.told or dict.fromkeys(receivers, facts[name].level)
        member.told = {receiver: level for receiver, level in owed.items() if not deaf(receiver)}


def _news(
    group: Group, found: _Sorted, facts: Mapping[str, Facts], receiver: str, *, heard: bool
) -> tuple[list[str], list[str]]:
    """Give the alerts that are new to `receiver`, and those that have changed since it was told."""
    new, changed = [], []
    for name in found.active if heard else ():
        level = group.members[name].told.get(receiver)
        if level is None:
            new.append(name)
        elif level != facts[name].level:
            changed.append(name)
    changed += [name for name in found.ended if receiver in group.members[name].told]
    return new, changed


def _say(
    group: Group,
    found: _Sorted,
    facts: Mapping[str, Facts],
    receiver: str,
    news: list[str],
    reason: Reason,
) -> Say:
    """Make a notification of what is new, and of what else fires as far as there is room, and note it as told."""
    others = set(news)
    every = news + [name for name in (*found.active, *found.known) if name not in others]
    listed = every[:MOST_ALERTS]
    for name in listed:
        if facts[name].firing:
            group.members[name].told[receiver] = facts[name].level
        else:
            del group.members[name].told[receiver]
    return Say(receiver, reason, listed, len(every) - len(listed))
