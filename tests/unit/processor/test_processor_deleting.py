"""Deleting a range where what windows are made of is stored no more, and where the range is long."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from contracts.deletions import LATEST, Deletion
from contracts.readings import Reading, Value
from contracts.timeseries import DAY, HOUR, MINUTE, Days, Tier
from processor.engine import Engine
from processor.sqlite import SqliteStore
from tests.stores.oracle import Name, Rollups, differences, rollups_of
from tests.stores.reading_back import of_sqlite

BEGIN = 1_774_742_400_000_000_000
NAME: Name = ("default", "d", "m", float)


class Site:
    """A store of five days with a point every twenty minutes, each of its number's value."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = SqliteStore(path, 1)
        self.engine = Engine(self.store, 1000, lambda _: Days())
        self.points: dict[tuple[Name, int], Value] = {
            (NAME, BEGIN + number * 20 * MINUTE): float(number) for number in range(5 * 72)
        }
        self.write(*(Reading("d", ts, ts, {"m": value}) for (_, ts), value in self.points.items()))

    def write(self, *readings: Reading) -> None:
        self.engine.write([(0, readings)], {0: 1})

    def delete(self, start: int, end: int) -> tuple[int, int]:
        deleted = self.engine.delete(0, Deletion(1, "x", "d", ["m"], start, end, 1), {0: 1})
        assert deleted.refused is None
        return deleted.points, deleted.kept

    def stored(self) -> Rollups:
        return of_sqlite(self.path)[1]

    def expected(self, start: int, end: int) -> Rollups:
        return rollups_of({key: one for key, one in self.points.items() if not start <= key[1] < end}, Days())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "store.sqlite3")
    with closing(site.engine):
        yield site


def test_a_wider_window_is_made_of_the_finer_ones_that_remain_when_the_points_have_expired(site: Site) -> None:
    site.store.drop("default", Tier.RAW, BEGIN + 2 * DAY)
    start, end = BEGIN + 3 * HOUR, BEGIN + DAY + 30 * MINUTE
    assert site.delete(start, end) == (0, 0)
    assert not differences(site.stored(), site.expected(start, end))


def test_a_window_that_the_range_cuts_stays_when_nothing_finer_is_stored(site: Site) -> None:
    site.store.drop("default", Tier.RAW, BEGIN + 2 * DAY)
    minute = BEGIN + 3 * HOUR
    before = site.stored()
    assert site.delete(minute - 1, minute + 1)[1] == 1
    assert site.stored() == before


def test_what_is_left_of_an_expired_series_stays_when_its_newest_windows_were_open(site: Site) -> None:
    """The day of the newest point is cut, and no points are there: nothing is open any more, and nothing is lost."""
    site.store.drop("default", Tier.RAW, BEGIN + 6 * DAY)
    start = BEGIN + 4 * DAY + 12 * HOUR
    assert site.delete(start, LATEST) == (0, 0)
    assert not differences(site.stored(), site.expected(start, LATEST))


def test_windows_that_the_deletion_opens_again_go_on_with_the_next_point(site: Site) -> None:
    start, end = BEGIN + DAY + 50 * MINUTE, BEGIN + 9 * DAY
    assert site.delete(start, end) == (4 * 72 - 3, 0)
    ts = start + 1
    site.write(Reading("d", ts, ts, {"m": 0.5}))
    points = {key: one for key, one in site.points.items() if key[1] < start} | {(NAME, ts): 0.5}
    assert not differences(site.stored(), rollups_of(points, Days()))


def test_a_point_that_was_written_after_a_deletion_stays_when_both_come_again_in_order(site: Site) -> None:
    late = Reading("d", BEGIN + 7, BEGIN + 7, {"m": 3.0})
    for _ in range(2):
        site.delete(0, LATEST)
        site.write(late)
    assert of_sqlite(site.path) == ({(NAME, late.ts): 3.0}, rollups_of({(NAME, late.ts): 3.0}, Days()))
