"""How a device's readings are judged: the rules that look at it, sorted by what they need."""

from collections.abc import Iterable

from alerting.evaluation.device import DeviceState, Other, Plain
from alerting.evaluation.watch import Watch


def plan(state: DeviceState, watches: Iterable[Watch]) -> None:
    """Work out anew how `watches`, which look at the device and have their tracks there, judge it."""
    plain: dict[str, list[Plain]] = {}
    others: dict[str, list[Other]] = {}
    absences: list[Other] = []
    windows: dict[str, list[Other]] = {}
    for watch in watches:
        track = state.tracks[watch.rule.id]
        if watch.window_judge is not None:
            windows.setdefault(watch.window_key, []).append((watch, track))
        if watch.plain and watch.judge is not None:
            for metric in watch.metrics:
                plain.setdefault(metric, []).append((watch.judge.judge, track, watch))
        elif not watch.metrics:
            absences.append((watch, track))
        else:
            for metric in watch.metrics:
                others.setdefault(metric, []).append((watch, track))
                if watch.judge is not None:
                    plain.setdefault(metric, [])  # so that its newest value is kept
    state.plain = {metric: tuple(found) for metric, found in plain.items()}
    state.others = {metric: tuple(found) for metric, found in others.items()}
    state.by_window = {key: tuple(found) for key, found in windows.items()}
    state.absences = tuple(absences)
