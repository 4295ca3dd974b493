"""The demo's screen: pure, from what was observed to what rich draws."""

from collections import deque
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

HISTORY = 32
"""How many values a sparkline shows."""

_BARS = "▁▂▃▄▅▆▇█"


def _history() -> deque[float]:
    return deque(maxlen=HISTORY)


@dataclass
class Series:
    """One device's metric: its last value, as the query API gave it, and those before it."""

    device: str
    metric: str
    unit: str
    values: deque[float] = field(default_factory=_history)


@dataclass
class Snapshot:
    """What the screen shows.

    Rates are messages/s. Latencies are ms, from when a message was due to the query's answer.
    """

    elapsed: float = 0.0
    devices: int = 0
    published_rate: float = 0.0
    stored_rate: float = 0.0
    published: int = 0
    stored: int = 0
    dead_lettered: int = 0
    lag: int = 0
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=1000))
    alerts: list[tuple[str, str, float]] = field(default_factory=list)
    fired: int = 0
    resolved: int = 0
    series: list[Series] = field(default_factory=list)


def sparkline(values: deque[float]) -> str:
    """Draw `values` as bars between their least and greatest."""
    if not values:
        return ""
    low, high = min(values), max(values)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] for value in values)


def percentile(values: deque[float] | list[float], share: float) -> float | None:
    """Return the nearest-rank percentile, or None where there are no values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def milliseconds(value: float | None) -> str:
    """Write a latency for people."""
    return "-" if value is None else f"{value:.0f} ms"


def render(seen: Snapshot, footer: str) -> RenderableType:
    """Draw the whole screen; it fits 80 columns and 24 lines."""
    return Group(_numbers(seen), _latest(seen), _alerts(seen), Text(footer, style="dim"))


def _numbers(seen: Snapshot) -> RenderableType:
    grid = Table.grid(expand=True, padding=(0, 1))
    for _ in range(3):
        grid.add_column(justify="left", ratio=1)
    p50, p99 = percentile(seen.latencies_ms, 0.5), percentile(seen.latencies_ms, 0.99)
    grid.add_row(
        f"published  [bold]{seen.published_rate:7.0f}[/] msg/s",
        f"stored  [bold]{seen.stored_rate:7.0f}[/] msg/s",
        f"lag  [bold]{seen.lag}[/] batches",
    )
    grid.add_row(
        f"in all  {seen.published:>10}",
        f"in all  {seen.stored:>7}",
        f"dead letters  [bold]{seen.dead_lettered}[/]",
    )
    grid.add_row(
        "publish → queryable",
        f"p50  [bold]{milliseconds(p50)}[/]",
        f"p99  [bold]{milliseconds(p99)}[/]",
    )
    title = f"Sensorium · {seen.devices} devices · {seen.elapsed:.0f} s"
    return Panel(grid, title=title, title_align="left", border_style="cyan")


def _latest(seen: Snapshot) -> RenderableType:
    table = Table(expand=True, box=None, padding=(0, 1), header_style="dim")
    table.add_column("device")
    table.add_column("metric")
    table.add_column("latest", justify="right")
    table.add_column("recent", width=HISTORY)
    for series in seen.series:
        latest = f"{series.values[-1]:.2f} {series.unit}" if series.values else "-"
        table.add_row(series.device, series.metric, latest, Text(sparkline(series.values), style="green"))
    return Panel(table, title="latest values, from the query API", title_align="left", border_style="cyan")


def _alerts(seen: Snapshot) -> RenderableType:
    lines = [f"[red]●[/] {rule}: [bold]{device}[/] at {value:.2f}" for rule, device, value in seen.alerts[:3]]
    if len(seen.alerts) > 3:  # noqa: PLR2004 - three lines fit
        lines.append(f"  and {len(seen.alerts) - 3} more")
    title = f"alerts: {len(seen.alerts)} active · {seen.fired} fired · {seen.resolved} resolved"
    return Panel("\n".join(lines) or "[dim]none now[/]", title=title, title_align="left", border_style="cyan")
