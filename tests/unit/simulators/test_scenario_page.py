"""The report: JSON that can be read back, and a page that needs nothing else."""

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from simulators.scenario import charts
from simulators.scenario.charts import Band, Line
from simulators.scenario.page import render, write
from simulators.scenario.report import Alerts, Expected, Fault, Latency, Report, Stretch, Throughput, Usage, Verdict

_VOID = {"meta", "br", "link", "img", "input"}


def report(**changes: object) -> Report:
    whole = Report(
        name="works",
        title="Broker <away>",
        seed=3,
        began="2026-02-01 10:00:00 UTC",
        seconds=4.0,
        repeat="sensorium simulate works",
        versions={"sensorium": "0.1.0"},
        fleet=["4 x pump as json"],
        expected=[Expected("lost == 0", "0", passed=True)],
        verdict=Verdict({"acked": 40, "lost": 0}, {"malformed": 2}, [Fault("malformed", 2, 2)], ["an <example>"]),
        throughput=Throughput(1.0, [10, 10, 10, 10], [10, 10, 10, 10], [10, 0, 20, 10]),
        latencies=[Latency("publish → PUBACK", 40, {"p99": 0.02}, [(0, 0.01), (99, 0.02)], [(0.5, 0.01, 0.02, 0.03)])],
        phases=[Stretch("steady", 0, 4)],
        failures=[Stretch("stop <broker>", 1, 2), Stretch("kill ingest", 1.2, None, "it does not run")],
        alerts=[Alerts("overheat", "overheat", 2, 2, 2), Alerts("stuffy", "", 1)],
        usage=[Usage("ingest", 0.5, 0.1, 50_000_000)],
    )
    return msgspec.convert({**msgspec.to_builtins(whole), **changes}, Report)


class Tags(HTMLParser):
    """Checks that what is opened is closed, and collects what other files are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.others: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.others += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href")]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_else_and_is_well_formed() -> None:
    page = render(report())
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert tags.others == []
    assert not re.search(r"https?://|@import|url\(", page)


def test_what_people_named_is_shown_and_not_run() -> None:
    page = render(report())
    assert "Broker &lt;away&gt;" in page
    assert "stop &lt;broker&gt;" in page
    assert "an &lt;example&gt;" in page


def test_a_run_that_measured_nothing_has_a_page_too() -> None:
    page = render(report(throughput={}, latencies=[], alerts=[], usage=[], verdict={}, expected=[]))
    assert "The scenario expects nothing." in page


@pytest.mark.parametrize(
    ("changes", "passed"),
    [
        ({}, True),
        ({"expected": [{"text": "lost == 0", "found": "1", "passed": False}]}, False),
        ({"troubles": ["interrupted"]}, False),
    ],
)
def test_it_has_passed_if_all_is_as_expected_and_nothing_kept_it_from_being_seen(
    changes: dict[str, object], *, passed: bool
) -> None:
    assert report(**changes).passed is passed
    assert ("✓ passed</span>" in render(report(**changes))) is passed


def test_the_json_holds_it_all(tmp_path: Path) -> None:
    data, page = write(report(), tmp_path / "new")
    assert msgspec.json.decode(data.read_bytes(), type=Report) == report()
    assert page.read_text() == render(report())


def test_a_chart_has_every_line_within_its_frame() -> None:
    lines = [Line("some", [(0, 0.0), (1, None), (2, 5.0), (3, 1e9)], 1), Line("none", [], 2)]
    bands = [Band("away", 1, 2, "failure"), Band("late", 2.9, None, "failure"), Band("all", 0, 3, "phase")]
    for log in (False, True):
        drawn = charts.over_time(lines, 3, bands, str, log=log)
        svg = ET.fromstring(drawn)  # noqa: S314 - our own
        numbers = [float(number) for path in svg.iter("path") for number in re.findall(r"[0-9.]+", path.get("d", ""))]
        assert numbers
        assert all(0 <= number <= charts.WIDTH for number in numbers)
        assert svg.find(".//rect[@class='failure']/title").text == "away"  # type: ignore[union-attr]


def test_ticks_are_round() -> None:
    assert charts.Scale(0, 120).ticks(6) == [0, 20, 40, 60, 80, 100, 120]
    assert charts.Scale(0.001, 1, log=True).ticks(6) == pytest.approx([0.001, 0.01, 0.1, 1])
