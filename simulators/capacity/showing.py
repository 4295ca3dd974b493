"""What a search found, for people and for programs. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from simulators.capacity.measured import Measured
from simulators.capacity.search import Found
from simulators.scenario.report import Usage

_LABEL, _COLUMN = 30, 16
_MIB = 1 << 20


@dataclass(frozen=True)
class Result:
    """What a search found of the system called `name`, and every step of it."""

    name: str
    found: Found[Measured]
    steps: Sequence[Measured]

    @property
    def shown(self) -> Measured | None:
        """Give the step that speaks for it: the best, or where none held the last."""
        return self.found.best or (self.steps[-1] if self.steps else None)


def line(step: Measured) -> str:
    """Say in one line how a step went."""
    p99 = f"p99 {step.latencies['p99']:.2f} s" if step.latencies else "no latencies"
    cost = sum(step.cost(usage) for usage in step.usage)
    verdict = "holds" if not step.troubles else "does not hold: " + "; ".join(step.troubles)
    return f"{step.rate:>9,.0f} messages/s  {p99}  {cost:.0f} µs CPU a message  {verdict}"


def table(results: Sequence[Result]) -> str:
    """Put what was found side by side."""
    shown = [(result, step) for result in results if (step := result.shown) is not None]
    rows: list[tuple[str, list[str]]] = [
        ("", [result.name for result, _ in shown]),
        (
            "holds, messages/s",
            [f"{result.found.rate:,.0f}" + ("+" if result.found.capped else "") for result, _ in shown],
        ),
        ("measured at, messages/s", [f"{step.rate:,.0f}" for _, step in shown]),
        ("points/s", [f"{step.messages_a_second * step.points_a_message:,.0f}" for _, step in shown]),
        ("points lost", [f"{step.expected - step.stored:,}" for _, step in shown]),
    ]
    rows += [
        (f"publish → queryable {name}, ms", [_ms(step.latencies.get(name)) for _, step in shown])
        for name in ("p50", "p99", "max")
    ]
    costs = [_by_name(step.usage) for _, step in shown]
    names = sorted(
        {name for found in costs for name in found}, key=lambda name: -max(c[name].cpu_s for c in costs if name in c)
    )
    rows.append(("CPU, µs a message", [""] * len(shown)))
    for name in names:
        rows.append((f"  {name}", [_cost(step, found, name) for (_, step), found in zip(shown, costs, strict=True)]))
    rows += [
        ("  all together", [f"{sum(step.cost(usage) for usage in step.usage):.1f}" for _, step in shown]),
        ("cores used", [f"{sum(usage.cores for usage in step.usage):.2f}" for _, step in shown]),
        ("memory, MiB", [""] * len(shown)),
    ]
    for name in names:
        rows.append((f"  {name}", [f"{found[name].memory / _MIB:,.0f}" if name in found else "" for found in costs]))
    rows.append(
        ("store on disk, bytes a point", ["" if (size := _bytes(result)) is None else str(size) for result, _ in shown])
    )
    return "\n".join(f"{label:<{_LABEL}}" + "".join(f"{cell:>{_COLUMN}}" for cell in cells) for label, cells in rows)


def as_json(results: Sequence[Result], about: dict[str, object]) -> str:
    """Write everything as one line of JSON."""
    found = {
        result.name: {
            "holds": result.found.rate,
            "capped": result.found.capped,
            "best": None if result.found.best is None else _step(result.found.best),
            "steps": [_step(step) for step in result.steps],
            "store_bytes_a_point": _bytes(result),
        }
        for result in results
    }
    return json.dumps({"capacity": found, **about})


def _step(step: Measured) -> dict[str, object]:
    return {
        "rate": step.rate,
        "seconds": step.seconds,
        "holds": not step.troubles,
        "troubles": step.troubles,
        "messages": step.published,
        "points": step.stored,
        "lost": step.expected - step.stored,
        "points_per_s": round(step.messages_a_second * step.points_a_message),
        "latency_ms": {name: round(value * 1000, 1) for name, value in step.latencies.items()},
        "followed": step.followed,
        "late_s": round(step.late_s, 3),
        "drained_s": round(step.drained_s, 2),
        "cpu_us_a_message": {usage.name: round(step.cost(usage), 1) for usage in _by_name(step.usage).values()},
        "cores": {usage.name: round(usage.cores, 3) for usage in _by_name(step.usage).values()},
        "memory_bytes": {usage.name: usage.memory for usage in _by_name(step.usage).values()},
    }


def _by_name(usage: Sequence[Usage]) -> dict[str, Usage]:
    """Add up processes and what they have started, which is named for them: `NAME/…`."""
    found: dict[str, Usage] = {}
    for one in usage:
        name = one.name.partition("/")[0]
        had = found.get(name, Usage(name, 0.0, 0.0, 0))
        found[name] = Usage(name, had.cpu_s + one.cpu_s, had.cores + one.cores, had.memory + one.memory)
    return found


def _cost(step: Measured, found: dict[str, Usage], name: str) -> str:
    return f"{step.cost(found[name]):.1f}" if name in found else ""


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:,.0f}"


def _bytes(result: Result) -> int | None:
    """Say what a point takes: all that the store has grown to, over all that was stored."""
    size, points = result.steps[-1].store_bytes if result.steps else None, sum(step.stored for step in result.steps)
    return round(size / points) if size and points else None
