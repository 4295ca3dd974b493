"""What a run shows while it is under way: a panel on a terminal, and elsewhere one line a second."""

import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from simulators.running.progress import Progress
from simulators.scenario.spec import Scenario

_BARS = "▁▂▃▄▅▆▇█"
_HISTORY = 60
_NANO = 1e9


@dataclass(frozen=True)
class Status:
    """How far a run is: seconds since its sending began, what it does, and the names of what fails now."""

    elapsed: float
    doing: str
    failing: Sequence[str]
    progress: Progress
    rate: float


class Screen:
    """Shows a run on `console`."""

    def __init__(self, console: Console, scenario: Scenario) -> None:
        self._console, self._scenario = console, scenario
        self._live: Live | None = None
        self._rates: deque[float] = deque(maxlen=_HISTORY)

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Draw from here on, where the console is a terminal."""
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            self._live = live
            try:
                yield
            finally:
                self._live = None

    def say(self, text: str) -> None:
        """Write a line that stays."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def show(self, status: Status) -> None:
        """Show how far it is; meant to be called once a second."""
        self._rates.append(status.rate)
        if self._live is None:
            self.say(line(status))
        else:
            self._live.update(self._drawn(status), refresh=True)

    def _drawn(self, status: Status) -> RenderableType:
        scenario, progress = self._scenario, status.progress
        whole = scenario.seconds
        clock = Table.grid(padding=(0, 1))
        clock.add_row(
            Text(f"{status.elapsed:6.1f} s" + (f" of {whole:g} s" if whole else ""), style="bold"),
            ProgressBar(total=whole or 1.0, completed=min(status.elapsed, whole) if whole else 0.0, width=30),
            Text(status.doing, style="cyan"),
        )
        counts = Table.grid(expand=True, padding=(0, 1))
        for _ in range(4):
            counts.add_column(ratio=1)
        counts.add_row(
            f"due [bold]{progress.planned:>9,}[/]",
            f"sent [bold]{progress.published:>9,}[/]",
            f"acknowledged [bold]{progress.acked:>9,}[/]",
            f"late [bold]{progress.behind_s:5.2f} s[/]",
        )
        rate = Text.assemble(
            (f"{status.rate:8,.0f} /s  ", "bold"), (sparkline(self._rates), "green"), ("  acknowledged", "dim")
        )
        failing = Text("failing now: " + ", ".join(status.failing), style="red") if status.failing else Text("")
        title = f"{scenario.name} · {sum(part.devices for part in scenario.fleet)} devices"
        body = Group(clock, counts, rate, failing, Text("Ctrl-C ends the sending, and checks what was sent.", "dim"))
        return Panel(body, title=title, title_align="left", border_style="cyan")


def line(status: Status) -> str:
    """Say how far a run is in one line."""
    progress = status.progress
    late = f"  {progress.behind_s:.1f} s late" if progress.behind_s > 1 else ""
    failing = f"  failing: {', '.join(status.failing)}" if status.failing else ""
    return (
        f"{status.elapsed:7.1f} s  {status.doing:<16}  {progress.published:>9} sent  {progress.acked:>9} acknowledged"
        f"  {status.rate:7.0f} /s{late}{failing}"
    )


def doing(scenario: Scenario, elapsed: float) -> str:
    """Name the phase of a moment."""
    end = 0.0
    for number, phase in enumerate(scenario.phase, start=1):
        end += phase.seconds or 0.0
        if phase.seconds is None or elapsed < end:
            return phase.name or f"phase {number}"
    return "waiting"


def sparkline(values: Sequence[float] | deque[float]) -> str:
    """Draw values as bars over 0."""
    most = max(values, default=0.0) or 1.0
    return "".join(_BARS[round(max(0.0, value) / most * (len(_BARS) - 1))] for value in values)
