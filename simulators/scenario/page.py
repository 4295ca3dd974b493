"""The report as files: JSON, and one HTML page that needs nothing else."""

import tempfile
from functools import partial
from importlib import resources
from pathlib import Path

import msgspec
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from simulators.scenario import charts, quantities
from simulators.scenario.charts import Band, Line
from simulators.scenario.quantities import Kind
from simulators.scenario.report import Latency, Report

JSON, HTML = "report.json", "report.html"

_MEANINGS = {
    "acked": "messages that the broker acknowledged",
    "stored": "every point of them is there, with its value and time",
    "dead_letters": "kept with the reason and the original bytes",
    "refused": "not let pass by the broker, as intended",
    "lost": "acknowledged, and neither stored nor kept",
    "duplicated": "points that are there twice, or were never sent",
    "wrong": "points with another value than was sent",
    "misrouted": "points under another device",
    "wrongly_accepted": "stored, though they were to be rejected",
    "wrongly_rejected": "kept as dead letters, though nothing was wrong with them",
    "unacked": "sent and not acknowledged: they may be there, and need not",
}


def claim(directory: Path) -> None:
    """Make the folder, and see to it that files can be written there; leaves none. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=directory).close()


def write(report: Report, directory: Path) -> tuple[Path, Path]:
    """Write both; returns their paths. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    data, page = directory / JSON, directory / HTML
    data.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    page.write_text(render(report), encoding="utf-8")
    return data, page


def render(report: Report) -> str:
    """Write the page."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"seconds": _seconds, "count": _count, "share": _share, "size": _size}
    template = environment.from_string(resources.files("simulators.scenario").joinpath("page.html").read_text())
    return template.render(
        report=report,
        meanings=_MEANINGS,
        throughput=_throughput(report),
        over_time=[(latency, _over_time(latency, report)) for latency in report.latencies if latency.over_time],
        curve=_curve(report),
        most_cores=max([usage.cores for usage in report.usage], default=0.0) or 1.0,
    )


def _throughput(report: Report) -> Markup | None:
    rates = report.throughput
    if not rates.acked:
        return None

    def points(values: list[float]) -> list[tuple[float, float | None]]:
        return [((n + 0.5) * rates.width, value) for n, value in enumerate(values)]

    lines = [
        Line("due", points(rates.due), 3, thin=True),
        Line("sent", points(rates.sent), 2),
        Line("acknowledged by the broker", points(rates.acked), 1),
    ]
    return _draw(charts.over_time(lines, _end(report), _stretches(report), partial(_count, unit=" /s")))


def _over_time(latency: Latency, report: Report) -> Markup:
    shown = zip(("median", "99 %", "most"), (1, 2, 3), strict=True)
    lines = [
        Line(name, [(row[0], row[number]) for row in latency.over_time], number, thin=number == 3)  # noqa: PLR2004 - the most
        for name, number in shown
    ]
    return _draw(charts.over_time(lines, _end(report), _stretches(report), _duration, log=True))


def _curve(report: Report) -> Markup | None:
    lines = [
        Line(latency.name, list(latency.curve), number)
        for number, latency in enumerate(report.latencies, start=1)
        if latency.curve
    ]
    return _draw(charts.of_percentiles(lines, _duration)) if lines else None


def _end(report: Report) -> float:
    rates = report.throughput
    return max(report.seconds, len(rates.acked) * rates.width)


def _stretches(report: Report) -> list[Band]:
    phases = [Band(one.name, one.start, one.end, "phase") for one in report.phases]
    return phases + [Band(one.name, one.start, one.end, "failure") for one in report.failures]


def _draw(svg: str) -> Markup:
    return Markup(svg)  # noqa: S704 - charts escapes what it is given


def _seconds(value: float | None) -> str:
    return "-" if value is None else quantities.show(value, Kind.SECONDS)


def _duration(value: float) -> str:
    """Write a round duration."""
    return f"{value * 1000:g} ms" if value < 1 else f"{value:g} s"


def _count(value: float | None, unit: str = "") -> str:
    return "-" if value is None else f"{value:,.0f}{unit}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value * 100:.4g} %"


def _size(value: float) -> str:
    return f"{value / 1e6:,.0f} MB"
