"""The demo's screen."""

import io
from collections import deque

from rich.console import Console

from deploy.local.view import Series, Snapshot, percentile, render, sparkline


def test_a_sparkline_spans_from_the_least_to_the_greatest() -> None:
    assert sparkline(deque([1.0, 2.0, 3.0])) == "▁▅█"
    assert sparkline(deque([5.0, 5.0])) == "▁▁"
    assert sparkline(deque()) == ""


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile(deque([3.0, 1.0, 2.0]), 0.5) == 2.0
    assert percentile(deque(float(n) for n in range(100)), 0.99) == 99.0
    assert percentile(deque(), 0.5) is None


def test_the_screen_fits_a_terminal_of_80_by_24_and_says_what_matters() -> None:
    seen = Snapshot(
        devices=50, published=1234, dead_lettered=7, alerts=[(f"rule {n}", "pump-001", 9.5) for n in range(9)]
    )
    seen.series = [Series(f"env-{n:03}", "temperature", "°C", deque([20.0, 21.0])) for n in range(6)]
    seen.latencies_ms.extend([12.0, 14.0])
    console = Console(width=80, height=24, record=True, file=io.StringIO())
    console.print(render(seen, "API http://127.0.0.1:8080"))
    screen = console.export_text()
    assert len(screen.splitlines()) <= 24
    for part in (
        "50 devices",
        "1234",
        "dead letters  7",
        "p50  14 ms",
        "env-005",
        "21.00 °C",
        "9 active",
        "and 6 more",
    ):
        assert part in screen
