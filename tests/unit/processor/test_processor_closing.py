"""The clock closes the windows of series that have fallen silent: each one, and none too early."""

from dataclasses import dataclass
from operator import attrgetter

from hypothesis import given
from hypothesis import strategies as st

from processor.closing import Closing

SECOND = 1_000_000_000
WIDTH = 60 * SECOND
HOUR = 3_600 * SECOND
GRACE = 5 * SECOND
TICK = 2 * SECOND


@dataclass(eq=False)
class Pump:
    """A series: in the window that ends at `end` are `points`."""

    end: int = WIDTH
    points: int = 0

    def take(self, ts: int) -> None:
        end = ts - ts % WIDTH + WIDTH
        if end > self.end:
            self.end, self.points = end, 0
        self.points += 1

    @property
    def hour_end(self) -> int:
        return -(-self.end // HOUR) * HOUR


def closing() -> Closing[Pump]:
    return Closing(attrgetter("end"), GRACE)


def touched(pump: Pump, points: Closing[Pump], ts: int) -> None:
    pump.take(ts)
    points.touch([pump])


def test_a_window_is_due_once_grace_has_passed_after_its_end() -> None:
    windows, pump = closing(), Pump()
    touched(pump, windows, 10 * SECOND)
    assert windows.due(10 * SECOND) == []
    assert windows.due(WIDTH + GRACE - 1) == []
    assert windows.due(WIDTH + GRACE) == [pump]
    assert windows.due(10 * WIDTH) == []
    assert len(windows) == 0


def test_a_window_that_grows_after_it_was_due_is_due_again() -> None:
    windows, pump = closing(), Pump()
    touched(pump, windows, 10 * SECOND)
    assert windows.due(WIDTH + GRACE) == [pump]
    touched(pump, windows, 20 * SECOND)
    assert windows.due(WIDTH + GRACE + TICK) == []
    assert windows.due(WIDTH + GRACE + GRACE) == [pump]


def test_a_series_that_goes_on_is_due_with_its_new_window_only() -> None:
    windows, pump = closing(), Pump()
    touched(pump, windows, 10 * SECOND)
    assert windows.due(11 * SECOND) == []
    touched(pump, windows, WIDTH + SECOND)
    assert windows.due(WIDTH + GRACE) == []
    assert windows.due(2 * WIDTH + GRACE) == [pump]


def test_a_series_that_has_gone_on_without_a_word_is_due_with_its_new_window() -> None:
    windows, pump = closing(), Pump()
    touched(pump, windows, 10 * SECOND)
    assert windows.due(11 * SECOND) == []
    pump.take(WIDTH + SECOND)
    assert windows.due(WIDTH + GRACE) == []
    assert windows.due(2 * WIDTH + GRACE) == [pump]


def test_what_is_filled_with_old_points_is_due_when_no_more_come() -> None:
    windows, pump = closing(), Pump()
    now = 1_000 * WIDTH
    assert windows.due(now) == []
    for second in range(20):
        touched(pump, windows, second * SECOND)
        now += SECOND
        assert windows.due(now) == []
    assert windows.due(now + GRACE) == [pump]


def test_a_wider_tier_is_touched_by_what_is_due_in_the_narrower_one() -> None:
    minutes, hours, pump = closing(), Closing[Pump](attrgetter("hour_end"), GRACE), Pump()
    touched(pump, minutes, 10 * SECOND)
    closed = []
    for now in range(0, HOUR + 2 * GRACE, SECOND):
        hours.touch(minutes.due(now))
        closed += [now for _ in hours.due(now)]
    assert closed == [HOUR + GRACE]


def test_what_is_forgotten_is_never_due() -> None:
    windows, pumps = closing(), [Pump() for _ in range(4)]
    windows.touch(pumps[:3])
    assert windows.due(SECOND) == []
    windows.touch(pumps[2:])
    windows.forget([pumps[0], pumps[2], pumps[3]])
    assert windows.due(WIDTH + GRACE) == [pumps[1]]
    windows.touch(pumps)
    windows.clear()
    assert windows.due(9 * WIDTH) == []


def test_a_clock_that_steps_back_closes_nothing_too_early() -> None:
    windows, pump = closing(), Pump()
    assert windows.due(3 * WIDTH) == []
    touched(pump, windows, 10 * SECOND)
    assert windows.due(SECOND) == []
    assert windows.due(WIDTH + GRACE - 1) == []
    assert windows.due(WIDTH + GRACE) == [pump]


@given(
    st.lists(
        st.tuples(
            st.integers(1, 30 * SECOND),  # how long after the one before
            st.integers(0, 3),  # which series
            st.integers(-WIDTH, 2 * WIDTH),  # how far its point is behind the clock
        ),
        max_size=60,
    )
)
def test_every_window_that_gets_no_further_point_is_due_in_time_and_none_before_its_end(
    writes: list[tuple[int, int, int]],
) -> None:
    windows, pumps = closing(), [Pump() for _ in range(4)]
    # Of each series: when its last point was written, and how many points its window had when that was closed.
    written, told = dict.fromkeys(pumps, 0), dict.fromkeys(pumps, (0, 0))
    events: list[tuple[int, Pump | None, int]] = []
    now = 10 * WIDTH
    for after, number, behind in writes:
        now += after
        events.append((now, pumps[number], now - behind))
    end = now + 5 * WIDTH
    events += [(at, None, 0) for at in range(10 * WIDTH, end, TICK)]
    for at, pump, ts in sorted(events, key=lambda event: (event[0], event[1] is None)):
        if pump is not None:
            touched(pump, windows, ts)
            written[pump] = at
            continue
        for due in windows.due(at):
            assert at >= due.end + GRACE
            assert told[due] != (due.end, due.points), "once for each change"
            told[due] = due.end, due.points
        for late, since in written.items():
            if since and at > max(late.end, since) + GRACE + TICK:
                assert told[late] == (late.end, late.points)
        assert len(windows) <= len(pumps)
    assert len(windows) == 0
