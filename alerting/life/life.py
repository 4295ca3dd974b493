"""The life of one alert: inactive → pending → firing → resolved, in event time. README.md has the rules in words.

Each function may change `track`, and then returns a step: the alert as it stands now, and what happened to it when.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from alerting.life.alert import Alert, Ending, State, What
from alerting.life.track import NEVER, Track
from alerting.rules.common import SEVERITIES
from alerting.rules.rule import Rule

LONGEST_SILENCE = 60_000_000_000
"""Age in ns of the last bad reading from which on the clock alone fires nothing."""


class Step(NamedTuple):
    """An alert as it stands after a change, what happened to it, and when (event time, ns)."""

    alert: Alert
    what: What
    at: int


def on_verdict(  # noqa: PLR0913 - what a verdict is about
    rule: Rule,
    track: Track,
    at: int,
    level: int,
    holds: int,
    *,
    fresh: bool,
    value: float | None,
    new_id: Callable[[], str],
) -> Step | None:
    """Take a verdict of event time `at`, which is not before the last one's.

    One that is not `fresh` can end an alert or lower it, but neither begin nor fire nor raise one. `on_passed` for the
    same time comes first.
    """
    alert = track.alert
    if alert is None and (level == 0 or not fresh):
        return None
    track.at, track.value = at, value
    track.since = _breached(track.since, at, level, fresh=fresh)
    if alert is None:
        return _begin(rule, track, at, level, value, new_id())
    if alert.state is State.PENDING and level == 0:
        return _withdraw(track, alert, at)
    reached = _reached(rule, track, at) if fresh else 0
    if alert.state is State.PENDING:
        return _fire(rule, track, alert, at, reached, value) if reached else None
    track.low = _released(track.low, at, holds, alert.level)
    return _settle(rule, track, alert, at, reached, value)


def on_clock(rule: Rule, track: Track, now: int, max_age: int, until: int | None = None) -> Step | None:
    """Do what the clock asks for: fire or raise what has been bad, end or lower what has been good, for long enough.

    Firing and raising only while readings keep coming: the last one is no older than half of `for`, a minute and
    `max_age`. So silence makes up less than half of the time that an alert rests on, and one reading alone never fires.
    Ending and lowering only up to `until`, before which all readings have been taken; up to `now` where it is not
    given. One step at a time: the next may be due, too.
    """
    alert = track.alert
    if alert is None:
        return None
    heard = now - track.at <= min(rule.for_ns // 2, LONGEST_SILENCE, max_age)
    reached = _reached(rule, track, now) if heard else 0
    at = max(track.since[reached - 1] + rule.for_ns, track.at) if reached else NEVER
    if alert.state is State.PENDING:
        return _fire(rule, track, alert, at, reached, track.value) if reached else None
    if reached > alert.level or (reached == alert.level and alert.no_data):
        return _stand(rule, track, alert, at, reached, track.value, no_data=False)
    return on_passed(rule, track, now if until is None else min(now, until))


def on_passed(rule: Rule, track: Track, until: int) -> Step | None:
    """Lower or end an alert whose values had been good for `keep_firing_for` at `until`. One step at a time."""
    alert = track.alert
    if alert is None or alert.state is not State.FIRING:
        return None
    keep = _keep(rule, alert)
    over = [low + keep for low in track.low[: alert.level] if low != NEVER and low + keep <= until]
    return _settle(rule, track, alert, min(over), 0, track.value) if over else None


def due(rule: Rule, track: Track, after: int = NEVER) -> int | None:
    """Give the earliest time after `after` at which `on_clock` may change something, None if there is none."""
    alert = track.alert
    if alert is None:
        return None
    firing = alert.state is State.FIRING
    standing = (alert.level - alert.no_data) if firing else 0
    times = [began + rule.for_ns for began in track.since[standing:] if began != NEVER]
    if firing:
        times += [ended + _keep(rule, alert) for ended in track.low[: alert.level] if ended != NEVER]
    return min((time for time in times if time > after), default=None)


def on_silence(rule: Rule, track: Track, at: int, level: int, new_id: Callable[[], str]) -> Step | None:
    """Fire, or raise, because nothing was heard until `at`, which breaches `level` of the rule.

    An alert that had begun to clear when values ceased to come stands because of the silence from now on.
    """
    alert = track.alert
    clearing = any(low != NEVER for low in track.low[:level])
    track.low = (NEVER,) * level + track.low[level:]
    if alert is None:
        alert = _new(rule, track, at, level, None, new_id())
    if alert.state is State.PENDING:
        return _fire(rule, track, msgspec.structs.replace(alert, no_data=True), at, level, None)
    if level > alert.level or (clearing and not alert.no_data):
        return _stand(rule, track, alert, at, max(level, alert.level), None, no_data=True)
    return None


def on_ending(rule: Rule | None, track: Track, at: int, reason: Ending) -> Step | None:
    """End the open alert for a reason other than its condition; `rule` is None if it is gone. None if there is none."""
    alert = track.alert
    if alert is None:
        return None
    if alert.state is State.PENDING:
        return _withdraw(track, alert, at)
    return _resolve(rule, track, alert, at, alert.value, reason)


def on_rule(rule: Rule, track: Track, at: int, *, condition: bool) -> Step | None:
    """Fit the track to its rule, which has changed, and its `condition` too if that is so.

    What rests on values that the old condition judged begins anew, but for an alert that fires: it stays, at a level
    that the rule still has, and the next reading judges it.
    """
    alert, levels = track.alert, len(rule.severities)
    if condition or len(track.since) != levels:
        track.since = track.low = (NEVER,) * levels
    if alert is None:
        return None
    if alert.state is State.PENDING:
        return _withdraw(track, alert, at) if condition else None
    level = min(alert.level, levels)
    if level == alert.level and rule.severities[level - 1] == alert.severity:
        return None
    milder = SEVERITIES.index(rule.severities[level - 1]) <= SEVERITIES.index(alert.severity)
    at = max(at, alert.fired_at or at)
    track.alert = _at_level(rule, alert, level, alert.value)
    return Step(track.alert, What.DEESCALATED if milder else What.ESCALATED, at)


def _breached(since: tuple[int, ...], at: int, level: int, *, fresh: bool) -> tuple[int, ...]:
    """Note from when on each level has been breached: up to `level` by now, and by fresh readings only."""
    return tuple(
        NEVER if number > level else at if began == NEVER and fresh else began for number, began in enumerate(since, 1)
    )


def _released(low: tuple[int, ...], at: int, holds: int, standing: int) -> tuple[int, ...]:
    """Note from when on each level up to `standing` has not been held any more: those up to `holds` are."""
    return tuple(
        NEVER if number <= holds or number > standing else at if ended == NEVER else ended
        for number, ended in enumerate(low, 1)
    )


def _reached(rule: Rule, track: Track, at: int) -> int:
    """Give the highest level that has been breached for `for`."""
    for number in range(len(track.since), 0, -1):
        began = track.since[number - 1]
        if began != NEVER and at - began >= rule.for_ns:
            return number
    return 0


def _kept(rule: Rule, track: Track, alert: Alert, at: int) -> int:
    """Give the highest level, up to the alert's, that is held, or was not long enough ago."""
    keep = _keep(rule, alert)
    for number in range(alert.level, 0, -1):
        ended = track.low[number - 1]
        if ended == NEVER or at - ended < keep:
            return number
    return 0


def _keep(rule: Rule, alert: Alert) -> int:
    return max(rule.keep_ns, rule.flapping_within) if alert.flapping else rule.keep_ns


def _begin(rule: Rule, track: Track, at: int, level: int, value: float | None, alert_id: str) -> Step:
    alert = _new(rule, track, at, level, value, alert_id)
    if rule.for_ns == 0:
        return _fire(rule, track, alert, at, level, value)
    track.alert = alert
    return Step(alert, What.PENDING, at)


def _new(rule: Rule, track: Track, at: int, level: int, value: float | None, alert_id: str) -> Alert:
    return Alert(
        id=alert_id,
        rule_id=rule.id,
        rule=rule.name,
        rule_version=rule.version,
        subject=track.subject,
        metric=rule.metric,
        state=State.PENDING,
        level=level,
        severity=rule.severities[level - 1],
        started_at=at,
        value=value,
        threshold=rule.thresholds[level - 1],
    )


def _fire(rule: Rule, track: Track, alert: Alert, at: int, level: int, value: float | None) -> Step:
    at = max(at, alert.started_at)
    track.low = (NEVER,) * len(track.low)
    track.ends = tuple(end for end in track.ends if at - end <= rule.flapping_within)
    track.alert = msgspec.structs.replace(
        _at_level(rule, alert, level, value),
        state=State.FIRING,
        fired_at=at,
        flapping=0 < rule.flapping_ends <= len(track.ends),
    )
    return Step(track.alert, What.FIRING, at)


def _settle(rule: Rule, track: Track, alert: Alert, at: int, reached: int, value: float | None) -> Step | None:
    """Bring a firing alert to the level that is reached or kept; at level 0 it is over."""
    level = max(reached, _kept(rule, track, alert, at))
    if level == 0:
        return _resolve(rule, track, alert, at, value, Ending.CLEARED)
    no_data = alert.no_data and reached < level
    if level == alert.level and no_data == alert.no_data:
        return None
    return _stand(rule, track, alert, at, level, value, no_data=no_data)


def _stand(rule: Rule, track: Track, alert: Alert, at: int, level: int, value: float | None, *, no_data: bool) -> Step:
    """Let a firing alert stand at `level`; where that is no news, the reason is: values, or silence."""
    track.low = track.low[:level] + (NEVER,) * (len(track.low) - level)
    track.alert = msgspec.structs.replace(_at_level(rule, alert, level, value), no_data=no_data)
    if level == alert.level:
        return Step(track.alert, What.FIRING, at)
    return Step(track.alert, What.ESCALATED if level > alert.level else What.DEESCALATED, at)


def _at_level(rule: Rule, alert: Alert, level: int, value: float | None) -> Alert:
    """Give the alert by the rule as it is now: it may have been renamed or made more severe since the alert began."""
    return msgspec.structs.replace(
        alert,
        level=level,
        severity=rule.severities[level - 1],
        threshold=rule.thresholds[level - 1],
        value=value,
        rule=rule.name,
        rule_version=rule.version,
        runbook=rule.runbook,
    )


def _withdraw(track: Track, alert: Alert, at: int) -> Step:
    return _end(track, msgspec.structs.replace(alert, state=State.WITHDRAWN), What.WITHDRAWN, max(at, alert.started_at))


def _resolve(rule: Rule | None, track: Track, alert: Alert, at: int, value: float | None, reason: Ending) -> Step:
    # The clock may have fired it later, in event time, than a reading that was then under way.
    resolved_at = max(at, alert.fired_at or at)
    if rule is not None and rule.flapping_ends:
        track.ends = (*track.ends, resolved_at)[-rule.flapping_ends :]
    over = msgspec.structs.replace(alert, state=State.RESOLVED, resolved_at=resolved_at, value=value, reason=reason)
    return _end(track, over, What.RESOLVED, resolved_at)


def _end(track: Track, alert: Alert, what: What, at: int) -> Step:
    track.alert = None
    track.since = track.low = (NEVER,) * len(track.since)
    return Step(alert, what, at)
