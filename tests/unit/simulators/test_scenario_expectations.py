"""The small language of what is expected."""

import pytest

from simulators.scenario.expectations import check, parse, percentile
from simulators.scenario.quantities import Kind, show


@pytest.mark.parametrize(
    ("text", "found", "passes"),
    [
        ("lost == 0", 0, True),
        ("lost==0", 1, False),
        ("published >= 100", 100, True),
        ("published > 100", 100, False),
        ("p99_latency < 2 s", 1.999, True),
        ("p99_9_latency < 250 ms", 0.3, False),
        ("max_puback <= 1 min", 60, True),
        ("rate > 900 /s", 901, True),
        ("alerts.hot == 12", 12, True),
        ("alerts.hot.recall >= 95 %", 0.94, False),
        ("dead_letters.bad_time != 0", 3, True),
    ],
)
def test_an_expectation_is_compared_with_what_was_measured(text: str, found: float, *, passes: bool) -> None:
    expectation = parse(text, ["hot"])
    assert check(expectation, {expectation.name: found}.get).passed is passes


def test_what_was_not_measured_does_not_pass() -> None:
    outcome = check(parse("p99_latency < 2 s", []), lambda _: None)
    assert not outcome.passed
    assert outcome.shown == "not measured"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lost",
        "lost = 0",
        "lost == none",
        "lost == 3 s",
        "p99_latency < 2",
        "p999_latency < 2 s",
        "p99_speed < 2 s",
        "alerts.cold == 1",
        "alerts.hot.taste == 1",
        "alerts.hot.recall.more == 1",
        "alerts == 1",
        "lost.more == 1",
        "dead_letters.dropped == 0",
        "rate > 5 m/s",
        "0 == lost",
    ],
)
def test_what_cannot_be_read_is_refused_with_what_can(text: str) -> None:
    with pytest.raises(ValueError, match=r"write|there is|is not a"):
        parse(text, ["hot"])


def test_percentiles_are_named_by_their_number() -> None:
    assert percentile("p50_latency") == ("latency", 50.0)
    assert percentile("p99_99_puback") == ("puback", 99.99)
    assert percentile("max_alert") == ("alert", 100.0)
    assert percentile("latency") is None


def test_numbers_are_shown_with_their_units() -> None:
    shown = [show(0.0123, Kind.SECONDS), show(2.5, Kind.SECONDS), show(1234.0, Kind.COUNT), show(900.4, Kind.RATE)]
    assert shown == ["12.3 ms", "2.50 s", "1,234", "900 /s"]
