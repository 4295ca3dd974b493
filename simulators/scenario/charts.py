"""Charts as SVG, drawn by hand: lines over a linear or logarithmic scale, with stretches of time marked. Pure.

Colours are classes, so that the page's style sheet decides them, for light and dark.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, isfinite, log10

WIDTH, HEIGHT = 860, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 26, 26
_ROWS, _COLUMNS = 5, 9
_LABEL_ROWS = 3
_LETTER = 6.5  # units of the drawing that a letter of a label takes
_NEAR = 70.0  # units of the drawing that a label takes

Show = Callable[[float], str]


@dataclass(frozen=True)
class Line:
    """A line: what it is called, its points by x, and the number of its colour, from 1. None leaves a gap."""

    name: str
    points: Sequence[tuple[float, float | None]]
    colour: int
    thin: bool = False


@dataclass(frozen=True)
class Band:
    """A stretch of the x axis; one without an `end` is a moment. `kind` is `phase` or `failure`."""

    name: str
    start: float
    end: float | None
    kind: str


@dataclass(frozen=True)
class Scale:
    """Where values lie between `low` and `high`, from 0 to 1."""

    low: float
    high: float
    log: bool = False

    def at(self, value: float) -> float:
        """Give the place of `value`; what is beyond the ends is at them."""
        value = min(self.high, max(self.low, value))
        if self.log:
            return (log10(value) - log10(self.low)) / (log10(self.high) - log10(self.low))
        return (value - self.low) / (self.high - self.low)

    def ticks(self, about: int) -> list[float]:
        """Give round values between the ends, `about` so many where the scale is linear."""
        if self.log:
            return [10.0**n for n in range(ceil(log10(self.low)), floor(log10(self.high)) + 1)]
        rough = (self.high - self.low) / about
        base = 10.0 ** floor(log10(rough))
        step = next(base * m for m in (1, 2, 5, 10) if base * m >= rough)
        return [n * step for n in range(ceil(self.low / step), floor(self.high / step) + 1)]


def scale(lines: Sequence[Line], *, log: bool = False) -> Scale:
    """Find a scale with room for all lines; a linear one begins at 0."""
    values = [y for line in lines for _, y in line.points if y is not None and isfinite(y)]
    if not log:
        return Scale(0.0, max([*values, 1e-9]) * 1.06)
    above = [value for value in values if value > 0] or [1e-3]
    low, high = floor(log10(min(above))), ceil(log10(max(above)))
    return Scale(10.0**low, 10.0 ** max(high, low + 1), log=True)


def over_time(lines: Sequence[Line], seconds: float, bands: Sequence[Band], show: Show, *, log: bool = False) -> str:
    """Draw lines over the seconds of a run. `show` writes the values of the y axis."""
    x, y = Scale(0.0, max(seconds, 1.0)), scale(lines, log=log)
    body = [*_bands(bands, x), *_grid(x, y, x.ticks(_COLUMNS), lambda value: f"{value:g} s", show)]
    return _svg([*body, *(_path(line, x, y) for line in lines)], lines)


def of_percentiles(lines: Sequence[Line], show: Show) -> str:
    """Draw values over percentiles, on which 90, 99, 99.9 … are equally far apart."""
    most = max([x for line in lines for x, _ in line.points if x < 100], default=99.0)  # noqa: PLR2004 - percent
    x = Scale(1.0, max(100.0, 100 / (100 - most)), log=True)
    y = scale(lines, log=True)
    ticks = [tick for tick in x.ticks(_COLUMNS) if tick <= x.high]
    moved = [
        Line(line.name, [(_nines(p, x.high), value) for p, value in line.points], line.colour, line.thin)
        for line in lines
    ]
    return _svg([*_grid(x, y, ticks, _percent, show), *(_path(line, x, y) for line in moved)], lines)


def _nines(percent: float, most: float) -> float:
    return min(most, 100 / (100 - percent)) if percent < 100 else most  # noqa: PLR2004 - percent


def _percent(place: float) -> str:
    return f"{100 - 100 / place:.6g} %"


def _x(scale: Scale, value: float) -> float:
    return _LEFT + scale.at(value) * (WIDTH - _LEFT - _RIGHT)


def _y(scale: Scale, value: float) -> float:
    return HEIGHT - _BOTTOM - scale.at(value) * (HEIGHT - _TOP - _BOTTOM)


def _grid(x: Scale, y: Scale, ticks: Sequence[float], show_x: Show, show_y: Show) -> list[str]:
    parts = []
    for tick in y.ticks(_ROWS):
        at = _y(y, tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{escape(show_y(tick))}</text>'
        )
    for tick in ticks:
        at = _x(x, tick)
        anchor = "end" if at > WIDTH - _NEAR / 2 else "middle"
        parts.append(
            f'<text class="tick" x="{at:.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">{escape(show_x(tick))}</text>'
        )
    return parts


def _bands(bands: Sequence[Band], x: Scale) -> list[str]:
    parts, free = [], [0.0] * _LABEL_ROWS
    for band in sorted(bands, key=lambda band: (band.kind, band.start)):
        start, end = _x(x, band.start), _x(x, band.start if band.end is None else band.end)
        bottom, name = HEIGHT - _BOTTOM, escape(band.name)
        if band.kind == "phase":
            parts.append(f'<line class="phase" x1="{start:.1f}" x2="{start:.1f}" y1="8" y2="{bottom}"/>')
            if end - start > len(band.name) * _LETTER + 8:
                parts.append(f'<text class="phase" x="{start + 5:.1f}" y="16">{name}</text>')
            continue
        width = max(2.0, end - start)
        parts.append(
            f'<rect class="failure" x="{start:.1f}" y="{_TOP}" width="{width:.1f}" height="{bottom - _TOP}">'
            f"<title>{name}</title></rect>"
        )
        row = next((row for row, end in enumerate(free) if start >= end), _LABEL_ROWS - 1)
        free[row] = start + len(band.name) * _LETTER + 8
        anchor, place = ("end", start - 3) if start > WIDTH - 2 * _NEAR else ("start", start + 3)
        parts.append(
            f'<text class="failure" x="{place:.1f}" y="{_TOP + 12 + 13 * row}" text-anchor="{anchor}">{name}</text>'
        )
    return parts


def _path(line: Line, x: Scale, y: Scale) -> str:
    steps, pen = [], "M"
    for at, value in line.points:
        if value is None:
            pen = "M"
            continue
        steps.append(f"{pen}{_x(x, at):.1f} {_y(y, value):.1f}")
        pen = "L"
    kind = f"line c{line.colour}" + (" thin" if line.thin else "")
    return f'<path class="{kind}" d="{"".join(steps)}"><title>{escape(line.name)}</title></path>'


def _svg(body: Sequence[str], lines: Sequence[Line]) -> str:
    keys = "".join(
        f'<span class="key c{line.colour}{" thin" if line.thin else ""}">{escape(line.name)}</span>' for line in lines
    )
    drawn = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(body)}</svg>'
    return f"<figure>{drawn}<figcaption>{keys}</figcaption></figure>"
