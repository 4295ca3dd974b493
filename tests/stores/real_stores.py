"""Every real store as processor is told of it, and as tests look into it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from contracts.readings import Value
from contracts.timeseries import Days
from tests.stores import reading_back
from tests.stores.influx_law import Bucket
from tests.stores.influx_server import BUCKET, TOKEN
from tests.stores.oracle import Name, Points, Rollups, differences, rollups_of
from tests.stores.reading_back_victoria import of_victoria, point_differences, rollup_differences


@dataclass
class RealStore:
    """`setting` and `token` are for processor; `read_back` asks the store itself. Days are those of UTC."""

    setting: str
    token: str
    read_back: Callable[[], tuple[dict[tuple[Name, int], Value], Rollups]]
    point_differences: Callable[[Points, Points], list[str]]
    rollup_differences: Callable[[Rollups, Rollups], list[str]]

    def environment(self) -> Mapping[str, str]:
        """Give the settings as variables."""
        return {"PROCESSOR_STORE": self.setting, "PROCESSOR_STORE_TOKEN": self.token}

    def differences(self, wanted: Points) -> list[str]:
        """Tell what is not as it should be if exactly these points were sent."""
        points, rollups = self.read_back()
        return self.point_differences(points, wanted) + self.rollup_differences(rollups, rollups_of(wanted, Days()))


def sqlite(path: Path) -> RealStore:
    """Give the store in a file."""
    return RealStore(str(path), "", lambda: reading_back.of_sqlite(path), _exactly, differences)


def influxdb(url: str, profile: str, *, at: str = "") -> RealStore:
    """Give a bucket, of which `profile` is ours; processor reaches the server at the URL `at`, if that is another."""
    bucket = Bucket(url, TOKEN, "plant", BUCKET)
    setting = f"influxdb+{at or url}/{BUCKET}?org=plant"
    return RealStore(setting, TOKEN, lambda: bucket.read_back(profile), _exactly, differences)


def victoria(url: str, *, at: str = "") -> RealStore:
    """Give a VictoriaMetrics server; `at` as above."""
    setting = f"victoria+{at or url}"
    return RealStore(setting, "", lambda: of_victoria(url, Days()), point_differences, rollup_differences)


def _exactly(found: Points, wanted: Points) -> list[str]:
    wrong = [f"missing: {key}" for key in wanted.keys() - found.keys()]
    wrong += [f"too much: {key}" for key in found.keys() - wanted.keys()]
    return wrong + [
        f"{key}: {found[key]}, not {wanted[key]}" for key in found.keys() & wanted.keys() if found[key] != wanted[key]
    ]
