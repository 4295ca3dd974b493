"""The life of one alert: inactive → pending → firing → resolved, in event time. README.md has the rules in words.

Each function may change `track`, and then returns the alert as it stands now, and what happened to it.
"""

from collections.abc import Callable

import msgspec

from alerting.life.alert import Alert, Ending, State, What
from alerting.life.track import NEVER, Track
from alerting.rules.rule import Rule

LONGEST_SILENCE = 60_000_000_000
"""Age in ns of the last bad reading from which on the clock alone fires nothing."""

Step = tuple[Alert, What]


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
    """Take a verdict of event time `at`.

    One that is not `fresh` can end an alert or lower it, but neither begin nor fire nor raise one.
    """
    track.at = at
    alert = track.alert
    if alert is None and (level == 0 or not fresh):
        return None
    _note_breached(track, at, level, fresh=fresh)
    if alert is None:
        return _begin(rule, track, at, level, value, new_id())
    if alert.state is State.PENDING:
        if level == 0:
            return _end(track, msgspec.structs.replace(alert, state=State.WITHDRAWN), What.WITHDRAWN)
        reached = _reached(rule, track, at) if fresh else 0
        return _fire(rule, track, alert, at, reached, value) if reached else None
    _note_held(track, at, holds, alert.level)
    if alert.no_data:
        alert = track.alert = msgspec.structs.replace(alert, no_data=False)
    return _settle(rule, track, alert, at, _reached(rule, track, at) if fresh else 0, value)


def on_clock(rule: Rule, track: Track, now: int, max_age: int) -> Step | None:
    """Do what the clock asks for: fire or raise what has been bad, end or lower what has been good, for long enough.

    Firing and raising only while readings keep coming: the last one is no older than half of `for`, a minute and
    `max_age`. So silence makes up less than half of the time that an alert rests on, and one reading alone never fires.
    """
    alert = track.alert
    if alert is None:
        return None
    heard = now - track.at <= min(rule.for_ns // 2, LONGEST_SILENCE, max_age)
    reached = _reached(rule, track, now) if heard else 0
    if alert.state is State.PENDING:
        if not reached:
            return None
        return _fire(rule, track, alert, track.since[reached - 1] + rule.for_ns, reached, alert.value)
    kept = _kept(rule, track, alert, now)
    at = now
    if reached > alert.level:
        at = track.since[reached - 1] + rule.for_ns
    elif kept < alert.level:
        at = track.low[kept] + _keep(rule, alert)
    return _settle(rule, track, alert, max(at, track.at), reached, alert.value, now)


def due(rule: Rule, track: Track) -> int | None:
    """Give the earliest time at which `on_clock` may change something, or None if nothing waits for the clock."""
    alert = track.alert
    if alert is None:
        return None
    standing = alert.level if alert.state is State.FIRING else 0
    times = [began + rule.for_ns for began in track.since[standing:] if began != NEVER]
    if alert.state is State.FIRING:
        times += [ended + _keep(rule, alert) for ended in track.low[:standing] if ended != NEVER]
    return min(times, default=None)


def on_silence(rule: Rule, track: Track, at: int, level: int, new_id: Callable[[], str]) -> Step | None:
    """Fire, or raise, because nothing was heard until `at`, which breaches `level` of the rule."""
    alert = track.alert
    for number in range(level):
        if track.since[number] == NEVER:
            track.since[number] = at
        track.low[number] = NEVER
    if alert is None or alert.state is State.PENDING:
        begun = alert if alert is not None else _new(rule, track, at, level, None, new_id())
        return _fire(rule, track, msgspec.structs.replace(begun, no_data=True), at, level, None)
    if level > alert.level:
        return _settle(rule, track, msgspec.structs.replace(alert, no_data=True), at, level, None)
    return None


def on_ending(rule: Rule, track: Track, at: int, reason: Ending) -> Step | None:
    """End the open alert for a reason other than its condition. None if there is none."""
    alert = track.alert
    if alert is None:
        return None
    if alert.state is State.PENDING:
        return _end(track, msgspec.structs.replace(alert, state=State.WITHDRAWN), What.WITHDRAWN)
    return _resolve(rule, track, alert, at, alert.value, reason)


def _note_breached(track: Track, at: int, level: int, *, fresh: bool) -> None:
    since = track.since
    for number in range(len(since)):
        if number >= level:
            since[number] = NEVER
        elif since[number] == NEVER and fresh:
            since[number] = at


def _note_held(track: Track, at: int, holds: int, standing: int) -> None:
    low = track.low
    for number in range(standing):
        if number < holds:
            low[number] = NEVER
        elif low[number] == NEVER:
            low[number] = at


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
    return alert, What.PENDING


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
    """Fire, as the rule is now: it may have been renamed or made more severe since the alert began."""
    track.low[:] = [NEVER] * len(track.low)
    recent = [end for end in track.ends if at - end <= rule.flapping_within]
    track.ends = recent
    track.alert = msgspec.structs.replace(
        _at_level(rule, alert, level, value),
        state=State.FIRING,
        fired_at=at,
        rule=rule.name,
        rule_version=rule.version,
        flapping=0 < rule.flapping_ends <= len(recent),
        runbook=rule.runbook,
    )
    return track.alert, What.FIRING


def _settle(
    rule: Rule, track: Track, alert: Alert, at: int, reached: int, value: float | None, now: int | None = None
) -> Step | None:
    """Bring a firing alert to the level that is reached or kept; at level 0 it is over."""
    level = max(reached, _kept(rule, track, alert, at if now is None else now))
    if level == alert.level:
        return None
    if level == 0:
        return _resolve(rule, track, alert, at, value, Ending.CLEARED)
    for number in range(level, len(track.low)):
        track.low[number] = NEVER
    track.alert = _at_level(rule, alert, level, value)
    return track.alert, What.ESCALATED if level > alert.level else What.DEESCALATED


def _at_level(rule: Rule, alert: Alert, level: int, value: float | None) -> Alert:
    return msgspec.structs.replace(
        alert, level=level, severity=rule.severities[level - 1], threshold=rule.thresholds[level - 1], value=value
    )


def _resolve(rule: Rule, track: Track, alert: Alert, at: int, value: float | None, reason: Ending) -> Step:
    # The clock may have fired it later, in event time, than a reading that was then under way.
    resolved_at = max(at, alert.fired_at or at)
    if rule.flapping_ends:
        track.ends = [*track.ends, resolved_at][-rule.flapping_ends :]
    over = msgspec.structs.replace(alert, state=State.RESOLVED, resolved_at=resolved_at, value=value, reason=reason)
    return _end(track, over, What.RESOLVED)


def _end(track: Track, alert: Alert, what: What) -> Step:
    track.alert = None
    track.since[:] = [NEVER] * len(track.since)
    track.low[:] = [NEVER] * len(track.low)
    return alert, what
