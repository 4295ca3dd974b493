"""What is shown of a run while it is under way."""

import io

from rich.console import Console

from simulators.running.progress import Progress
from simulators.scenario.reading import build
from simulators.scenario.screen import Screen, Status, doing, line, sparkline

SCENARIO = build(
    {
        "name": "works",
        "fleet": [{"model": "pump", "devices": 1200}],
        "phase": [{"name": "day", "seconds": 10}, {"seconds": 5}],
    },
    "a test",
)
STATUS = Status(3.5, "day", ["stop broker"], Progress(planned=900, published=800, acked=700, behind_s=2.5), 123.4)


def test_without_a_terminal_there_is_a_line_for_each_look() -> None:
    output = io.StringIO()
    screen = Screen(Console(file=output), SCENARIO)
    with screen.shown():
        screen.show(STATUS)
        screen.show(STATUS)
    assert output.getvalue().splitlines() == [line(STATUS)] * 2
    for part in ("3.5 s", "day", "800 sent", "700 acknowledged", "123 /s", "2.5 s late", "failing: stop broker"):
        assert part in line(STATUS)


def test_on_a_terminal_everything_fits_eighty_columns() -> None:
    output = io.StringIO()
    screen = Screen(Console(file=output, force_terminal=True, width=80, color_system=None), SCENARIO)
    with screen.shown():
        screen.show(STATUS)
    drawn = output.getvalue()
    for part in ("works · 1200 devices", "of 15 s", "failing now: stop broker", "900", "Ctrl-C"):
        assert part in drawn


def test_a_moment_has_its_phase() -> None:
    assert [doing(SCENARIO, at) for at in (0.0, 9.9, 10.0, 14.9, 15.0)] == [
        "day",
        "day",
        "phase 2",
        "phase 2",
        "waiting",
    ]


def test_a_sparkline_stands_on_zero() -> None:
    assert sparkline([0.0, 5.0, 10.0]) == "▁▅█"
    assert sparkline([]) == ""
