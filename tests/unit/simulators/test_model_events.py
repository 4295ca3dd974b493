"""Events of models: the ground truth, and where values say the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.models.declared import DeclaredModel
from simulators.models.library import shipped
from simulators.models.spec import ModelSpec
from tests.unit.simulators.test_model_signals import DAY, HOUR, MONDAY, SECOND, made, spec

DEVICES = np.arange(200)


def pair(declared: ModelSpec) -> tuple[DeclaredModel, DeclaredModel]:
    return DeclaredModel(declared), DeclaredModel(declared.model_copy(update={"events": {}}))


@pytest.mark.parametrize("name", shipped())
@settings(max_examples=8)
@given(seed=st.integers(0, 2**32), start=st.integers(0, 30 * DAY))
def test_a_metric_is_unlike_itself_exactly_where_an_event_is_told(name: str, seed: int, start: int) -> None:
    eventful, calm = pair(spec(name))
    at = MONDAY + start
    found = eventful.events(seed, DEVICES[:20] if name == "pump" else DEVICES, at, at + 3 * HOUR)
    assert found
    for event in found[:5]:
        edges = [event.start - 1, event.start, (event.start + event.end) // 2, event.end, event.end + 1]
        ts, devices = np.array(edges), np.full(len(edges), event.device)
        values, usual = (kind.values(seed, devices, ts)[event.metric] for kind in (eventful, calm))
        assert [values[n] for n in (0, 1, 3, 4)] == [usual[n] for n in (0, 1, 3, 4)]
        assert values[2] == event.peak
        assert usual[2] != event.peak


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), start=st.integers(0, DAY), cut=st.integers(1, HOUR))
def test_events_are_the_same_whatever_span_is_asked_for(seed: int, start: int, cut: int) -> None:
    kind, at = DeclaredModel(spec("pump")), MONDAY + start
    whole = kind.events(seed, DEVICES[:20], at, at + HOUR)
    assert whole == sorted(whole, key=lambda event: event.start)
    assert all(at <= event.start < event.end <= at + HOUR for event in whole)
    parts = kind.events(seed, DEVICES[:20], at, at + cut) + kind.events(seed, DEVICES[:20], at + cut, at + HOUR)
    assert parts == [event for event in whole if not event.start < at + cut < event.end]


def test_each_device_has_a_turn_in_every_period_and_the_chance_that_is_declared() -> None:
    kind = DeclaredModel(spec("environment"))
    found = kind.events(1, DEVICES, MONDAY, MONDAY + DAY)
    assert len(found) / (len(DEVICES) * 48) == pytest.approx(0.2, rel=0.1)
    assert {event.name for event in found} == {"overheat"}
    assert all(120 * SECOND <= event.end - event.start <= 360 * SECOND for event in found)
    assert all(34 <= event.peak <= 40 for event in found)


def test_very_many_devices_are_looked_at_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = DeclaredModel(spec("pump"))
    whole = kind.events(1, DEVICES, MONDAY, MONDAY + HOUR)
    monkeypatch.setattr("simulators.models.happenings._MOST", 100)
    assert kind.events(1, DEVICES, MONDAY, MONDAY + HOUR) == whole


def test_no_time_and_no_devices_have_no_events() -> None:
    kind = DeclaredModel(spec("pump"))
    assert kind.events(1, DEVICES, MONDAY + HOUR, MONDAY) == []
    assert kind.events(1, DEVICES[:0], MONDAY, MONDAY + HOUR) == []


def test_an_event_changes_other_metrics_too_and_may_go_down() -> None:
    kind = made("""
        [metrics.level]
        kind = "curve"
        base = 50

        [metrics.alarm]
        kind = "derived"
        terms = { level = -1 }

        [metrics.depth]
        kind = "curve"
        base = 7

        [events.empty]
        metric = "level"
        every = "1m"
        length = "20s"
        ramp = "5s"
        peak = 2
        also = { depth = 1 }
    """)
    event = kind.events(1, np.array([5]), MONDAY, MONDAY + HOUR)[0]
    ts = np.array([event.start + n * SECOND for n in (0, 1, 5, 15, 19, 20)])
    found = kind.values(1, np.full(6, 5), ts)
    assert found["level"] == [50, 40.4, 2, 2, 40.4, 50]
    assert found["depth"] == [7, 5.8, 1, 1, 5.8, 7]
    assert found["alarm"] == [-50, -40.4, -2, -2, -40.4, -50]


def test_a_boolean_is_true_in_its_event() -> None:
    door = DeclaredModel(spec("coldchain"))
    event = next(e for e in door.events(1, DEVICES, MONDAY, MONDAY + 3 * HOUR) if e.name == "door_open")
    ts = np.array([event.start - 1, event.start + 1, event.end - 1, event.end + 1])
    found = door.values(1, np.full(4, event.device), ts)
    assert found["door"] == [False, True, True, False]
    assert event.peak == 1.0


def test_peaks_are_spread_over_their_range() -> None:
    peaks = [event.peak for event in DeclaredModel(spec("pump")).events(1, DEVICES, MONDAY, MONDAY + HOUR)]
    assert all(9.5 <= peak <= 11 for peak in peaks)
    assert len(set(peaks)) > 100
