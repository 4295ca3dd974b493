"""Computed metrics in the engine: when they are evaluated, from what, and what is told of it."""

from collections.abc import Mapping, Sequence

import pytest

from contracts.devices import DeviceRecord
from contracts.readings import Reading, Value
from contracts.timeseries import DAY, Days, Tier
from processor import computing
from processor.engine import Engine, Written
from processor.store import Refusal, Span, Taken
from tests.stores.memory_store import Kept, MemoryStore

NOW = 1_774_742_400_000_000_000
S = 1_000_000_000
POWER = {"power": "volts * amps"}


class Server(MemoryStore):
    """Counts the questions for points, and refuses every reading of what is `bad`."""

    def __init__(self, kept: Kept) -> None:
        super().__init__(kept)
        self.questions = 0
        self.bad: Value | None = None

    def points(self, spans: Sequence[Span]) -> list[list[tuple[int, Value]]]:
        self.questions += 1
        return super().points(spans)

    def put(self, taken: Sequence[Taken]) -> list[Refusal]:
        bad = [at for at, one in enumerate(taken) if self.bad in one.reading.values.values()]
        super().put([one for at, one in enumerate(taken) if at not in bad])
        return [Refusal(at, "refused") for at in bad]


class Site:
    """An engine, and the store behind it."""

    def __init__(self, computed: Mapping[str, str], kept: Kept | None = None) -> None:
        self.kept = kept or Kept()
        self.store = Server(self.kept)
        self.records = {"d": DeviceRecord(1, "d", enabled=True, profile="default", computed=dict(computed))}
        self.engine = Engine(self.store, 1000, lambda _: Days(), record_of=self.records.get)

    def write(self, *readings: Reading) -> Written:
        return self.engine.write([(3, readings)], {3: 1})

    def stored(self, metric: str) -> dict[float, Value]:
        points = self.kept.points.get(("default", "d", metric, float), {})
        return {(ts - NOW) / S: value for ts, value in sorted(points.items())}


def at(second: float, **values: Value) -> Reading:
    return Reading("d", NOW + int(second * S), NOW + int(second * S) + 5, values)


def test_what_is_computed_is_stored_with_its_windows_and_told() -> None:
    site = Site(POWER)
    site.write(at(0, volts=2.0, amps=3.0))
    written = site.write(at(1, volts=2.0, amps=4.0))
    assert written.computed == [(3, [Reading("d", NOW + S, NOW + S + 5, {"power": 8.0})])]
    assert written.points == 2
    assert site.stored("power") == {0: 6.0, 1: 8.0}
    window = site.kept.windows[Tier.M1, ("default", "d", "power", float)][NOW]
    assert (window.count, window.sum, window.last) == (2, 14.0, 8.0)


def test_in_order_the_store_is_asked_nothing() -> None:
    site = Site(POWER | {"flow": "rate(volume)"})
    site.write(at(0, volts=2.0, volume=0.0), at(1, amps=1.0, volume=1.0))
    site.store.questions = 0
    for second in range(2, 200, 7):
        site.write(at(second, volts=float(second)), at(second + 1, amps=2.0), at(second + 2, volume=float(second)))
    assert site.store.questions == 0
    assert site.stored("power")[3] == 2.0 * 2.0
    assert site.stored("flow")[11] == 1.0


def test_a_device_of_which_nothing_is_computed_asks_nothing() -> None:
    site = Site({})
    site.write(at(0, volts=2.0), at(1, volts=2.0))
    site.store.questions = 0
    assert site.write(at(2, volts=2.0)).computed == []
    assert site.store.questions == 0


def test_readings_of_one_moment_are_taken_together() -> None:
    site = Site(POWER | {"used": "delta(energy) * volts"})
    site.write(at(0, energy=10.0))
    site.write(at(1, volts=2.0), at(1, amps=3.0), at(1, energy=15.0))
    assert site.stored("power") == {1: 6.0}
    assert site.stored("used") == {1: 10.0}
    site.write(at(2, energy=16.0), at(2, volts=3.0))
    assert site.stored("used") == {1: 10.0, 2: 3.0}, "a counter of the same moment is looked up"


def test_a_late_point_counts_until_the_metrics_next_one() -> None:
    site = Site(POWER)
    site.write(at(0, volts=1.0), *(at(second, amps=1.0) for second in (1, 2, 300, 301)), at(302, volts=1.0))
    written = site.write(at(1.5, volts=7.0))
    assert site.stored("power") == {1: 1.0, 1.5: 7.0, 2: 7.0, 300: 7.0, 301: 7.0, 302: 1.0}
    ((_, readings),) = written.computed
    assert [(reading.ts - NOW) / S for reading in readings] == [1.5, 2, 300, 301, 302]


def test_a_late_counter_changes_the_next_difference() -> None:
    site = Site({"used": "delta(energy)"})
    site.write(at(0, energy=0.0), at(100, energy=10.0), at(200, energy=20.0))
    site.write(at(50, energy=4.0))
    assert site.stored("used") == {50: 4.0, 100: 6.0, 200: 10.0}


def test_what_is_older_than_a_day_counts_no_more() -> None:
    site = Site(POWER)
    site.write(at(0, volts=2.0), at(DAY // S, amps=1.0), at(DAY // S + 1, amps=1.0))
    assert site.stored("power") == {DAY // S: 2.0}
    site.write(at(0, volts=3.0))
    assert site.stored("power") == {DAY // S: 3.0}


def test_after_a_restart_the_inputs_are_looked_up_once() -> None:
    before = Site(POWER)
    before.write(at(0, volts=2.0), at(1, amps=3.0))
    site = Site(POWER, before.kept)
    site.write(at(2, amps=4.0))
    assert site.stored("power") == {1: 6.0, 2: 8.0}
    site.store.questions = 0
    site.write(at(3, amps=5.0))
    assert site.store.questions == 0, "volts did not come, and are known"
    assert site.stored("power") == {1: 6.0, 2: 8.0, 3: 10.0}


def test_beyond_a_bound_moments_keep_their_value_and_that_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computing, "MOST_MOMENTS", 3)
    site = Site(POWER)
    site.write(at(0, volts=1.0), *(at(second, amps=1.0) for second in range(1, 9)))
    written = site.write(at(0, volts=2.0), at(6, volts=3.0, amps=1.0))
    assert site.stored("power") == {1: 2.0, 2: 2.0, 3: 2.0, 4: 1.0, 5: 1.0, 6: 3.0, 7: 1.0, 8: 1.0}
    assert written.missed == {computing.TOO_MANY: 1}


def test_a_backfill_is_bounded_by_what_is_written_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computing, "MOST_MOMENTS", 1)
    site = Site(POWER)
    site.write(at(100_000, volts=1.0, amps=1.0))
    written = site.write(*(at(1000 * number, volts=1.0, amps=float(number)) for number in range(50)))
    assert len(site.stored("power")) == 51
    assert written.missed[computing.TOO_MANY] == 0


def test_what_the_device_sends_itself_is_kept() -> None:
    site = Site(POWER)
    site.write(at(0, volts=2.0, amps=3.0, power=5.5), at(1, volts=2.0, amps=3.0, power=5.6))
    site.write(at(0, volts=2.0, amps=3.0, power=5.5))
    assert site.stored("power") == {0: 5.5, 1: 5.6}


def test_nothing_is_computed_from_what_the_store_refuses() -> None:
    site = Site(POWER)
    site.write(at(0, volts=2.0, amps=3.0))
    site.store.bad = 666.0
    written = site.write(at(1, amps=666.0), at(2, volts=3.0))
    assert [reading.ts for _, reading, _ in written.refused] == [NOW + S]
    assert site.stored("power") == {0: 6.0, 2: 9.0}


def test_a_computed_reading_that_is_refused_is_counted() -> None:
    site = Site(POWER)
    site.store.bad = 36.0
    written = site.write(at(0, volts=6.0, amps=6.0))
    assert written.refused == []
    assert written.missed[computing.REFUSED] == 1


def test_of_a_device_that_has_another_profile_by_now_nothing_is_computed() -> None:
    site = Site(POWER)
    before = Reading("d", NOW, NOW, {"volts": 2.0, "amps": 2.0}, {}, "former")
    assert site.write(before).computed == []


def test_what_failed_is_told_and_what_worked_once_after_it() -> None:
    site = Site({"ratio": "volts / amps"})
    written = site.write(*(at(second, volts=1.0, amps=float(amps)) for second, amps in enumerate([1, 2, 0, 0, 1, 2])))
    assert [(sorted(verdict.worked), list(verdict.errors)) for verdict in written.verdicts] == [
        (["ratio"], []),
        ([], ["ratio"]),
        ([], ["ratio"]),
        (["ratio"], []),
    ]
    assert written.verdicts[0][:3] == ("default", {"ratio": "volts / amps"}, "d")
    assert site.stored("ratio") == {0: 1.0, 1: 0.5, 4: 1.0, 5: 0.5}


def test_new_expressions_hold_from_the_next_write_on() -> None:
    site = Site(POWER)
    site.write(at(0, volts=2.0, amps=3.0, mass=7.0))
    site.records["d"] = DeviceRecord(1, "d", enabled=True, profile="default", computed={"twice": "mass * 2 + volts"})
    site.write(at(1, volts=1.0))
    assert site.stored("power") == {0: 6.0}
    assert site.stored("twice") == {1: 15.0}


def test_a_day_is_reached_in_few_questions() -> None:
    site = Site(POWER)
    site.write(at(0, volts=2.0), at(1, amps=1.0), at(80_000, amps=1.0))
    site.store.questions = 0
    site.write(at(60, volts=3.0))
    assert site.stored("power") == {1: 2.0, 60: 3.0, 80_000: 3.0}
    assert site.store.questions <= 10
