"""Puts a report together from what was sent, what was measured, and what was found. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from simulators.scenario import expectations
from simulators.scenario.expectations import Measured as Values
from simulators.scenario.measuring import Measured
from simulators.scenario.report import Alerts, Expected, Fault, Latency, Report, Stretch, Verdict
from simulators.scenario.running import Sent
from simulators.scenario.spec import Fleet, Scenario
from simulators.truth.histogram import Histogram
from simulators.truth.verdict import Verdict as Found


@dataclass
class Outcome:
    """Everything that is known of a run. `latencies` are by their names in expectations: `latency`, `puback`, `alert`.

    `found` is None where nobody could be asked.
    """

    sent: Sent
    measured: Measured
    found: Found | None = None
    histograms: Mapping[str, Histogram] = field(default_factory=dict)
    latencies: Sequence[Latency] = ()
    alerts: Sequence[Alerts] = ()
    troubles: list[str] = field(default_factory=list)


def report(scenario: Scenario, outcome: Outcome, *, began: str, repeat: str, versions: Mapping[str, str]) -> Report:
    """Say what came of a run. `began` is its moment for people, and `repeat` the command that does it again."""
    sent = outcome.sent
    found = values(outcome)
    checked = [expectations.check(one, found) for one in scenario.expectations]
    return Report(
        name=scenario.name,
        title=scenario.title,
        seed=scenario.seed,
        began=began,
        seconds=round(sent.seconds, 3),
        repeat=repeat,
        versions=dict(versions),
        fleet=[described(part) for part in scenario.fleet],
        expected=[Expected(one.expectation.text, one.shown, one.passed) for one in checked],
        verdict=_verdict(outcome),
        throughput=outcome.measured.throughput(),
        latencies=list(outcome.latencies),
        phases=_phases(scenario, sent.seconds),
        failures=sent.failures,
        alerts=list(outcome.alerts),
        usage=sent.usage,
        troubles=[*sent.troubles, *outcome.troubles],
    )


def values(outcome: Outcome) -> Values:
    """Give what was measured by the names that expectations have."""
    sent, found = outcome.sent, outcome.found
    known: dict[str, float | None] = {
        "published": sent.published,
        "acked": sent.acked,
        "reconnects": sent.reconnects,
        "restarts": sum(one.restarts for one in sent.usage),
        "rate": sent.acked / sent.seconds if sent.seconds else 0.0,
        "behind": sent.behind,
    }
    if found is not None:
        known |= {name: number for name, number in counts(found).items() if name != "acked"}
        known |= {f"dead_letters.{reason}": number for reason, number in found.reasons.items()}
    for one in outcome.alerts:
        name = f"alerts.{one.rule}"
        known |= {name: one.fired, f"{name}.recall": one.recall, f"{name}.precision": one.precision}
        if one.truth is not None:
            known |= {f"{name}.missed": one.missed, f"{name}.false": one.false}

    def look_up(name: str) -> float | None:
        if (which := expectations.percentile(name)) is not None:
            histogram = outcome.histograms.get(which[0])
            return histogram.percentiles((which[1],))[0] if histogram is not None and histogram.count else None
        if name.startswith("dead_letters.") and found is not None:
            return known.get(name, 0.0)
        return known.get(name)

    return look_up


def counts(found: Found) -> dict[str, int]:
    """Give what became of messages, under the names of a report."""
    return {
        "acked": found.published,
        "stored": found.stored,
        "dead_letters": found.dead_lettered,
        "refused": found.refused,
        "lost": found.lost,
        "duplicated": found.duplicates,
        "wrong": found.wrong,
        "misrouted": found.misrouted,
        "wrongly_accepted": found.accepted,
        "wrongly_rejected": found.rejected,
        "unacked": found.unacked,
    }


def described(part: Fleet) -> str:
    """Describe a part of a fleet in a line."""
    how = "one connection each" if part.connections == "own" else f"{part.connections} connections"
    faults = ", ".join(dict.fromkeys(fault.kind for fault in part.faults))
    return (
        f"{part.devices:,} x {part.model} as {part.format}, {part.rate:g} readings/s each, {how}"
        + (f", {part.client}" if part.client != "native" else "")
        + (f"; faults: {faults}" if faults else "")
    )


def _phases(scenario: Scenario, seconds: float) -> list[Stretch]:
    found, start = [], 0.0
    for number, phase in enumerate(scenario.phase, start=1):
        end = seconds if phase.seconds is None else start + phase.seconds
        found.append(Stretch(phase.name or f"phase {number}", start, end))
        start = end
    return found


def _verdict(outcome: Outcome) -> Verdict:
    found, measured = outcome.found, outcome.measured
    faults = []
    for name, messages in sorted(measured.faults.items()):
        came_to = found.faults.get(name) if found is not None else None
        more = () if came_to is None else (came_to.stored, came_to.dead_lettered, came_to.refused, came_to.lost)
        faults.append(Fault(name, messages, measured.to_reject[name], *more))
    if found is None:
        return Verdict(faults=faults)
    return Verdict(counts(found), dict(found.reasons.most_common()), faults, [*found.examples, *found.notes])
