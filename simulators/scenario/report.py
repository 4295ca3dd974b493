"""What came of a scenario, as data: this is what the JSON report holds and what the page shows."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Stretch:
    """A phase or a failure: seconds from the start of the sending. `note` is what went wrong with it."""

    name: str
    start: float
    end: float | None
    note: str = ""


@dataclass(frozen=True)
class Latency:
    """How long something took, in seconds.

    `percentiles` has the usual ones by name, `curve` pairs of percentile and value, and `over_time` the second of the
    run with the median, the 99th percentile and the most of what was sent in it.
    """

    name: str
    count: int
    percentiles: dict[str, float] = field(default_factory=dict)
    curve: list[tuple[float, float]] = field(default_factory=list)
    over_time: list[tuple[float, float, float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Throughput:
    """Messages a second, in stretches of `width` seconds: due, sent, and acknowledged by the broker."""

    width: float = 1.0
    due: list[float] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)
    acked: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Alerts:
    """What a rule found of the events that it is for. `truth` is None where nobody knows; delays are in seconds.

    `recall` is the share of the events for which there was an alert, `precision` that of the alerts for which there was
    an event.
    """

    rule: str
    event: str
    fired: int
    truth: int | None = None
    found: int = 0
    missed: int = 0
    false: int = 0
    recall: float | None = None
    precision: float | None = None
    delay_p50: float | None = None
    delay_max: float | None = None
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Usage:
    """What a process cost: CPU seconds, cores on average, the most memory in bytes, and how often it was restarted."""

    name: str
    cpu_s: float
    cores: float
    memory: int
    restarts: int = 0


@dataclass(frozen=True)
class Fault:
    """Messages that had a fault on purpose: how many, how many of them were to be rejected, and what they came to."""

    name: str
    messages: int
    to_reject: int
    stored: int = 0
    dead_letters: int = 0
    refused: int = 0
    lost: int = 0


@dataclass(frozen=True)
class Verdict:
    """How many messages came to what, the dead letters by reason, and what became of what was wrong on purpose.

    Without `counts` nobody was asked.
    """

    counts: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Expected:
    """An expectation and what came of it."""

    text: str
    found: str
    passed: bool


@dataclass(frozen=True)
class Report:
    """Everything about one run. `seconds` is how long it sent; `repeat` is the command that does the same again."""

    name: str
    title: str
    seed: int
    began: str
    seconds: float
    repeat: str
    versions: dict[str, str]
    fleet: list[str]
    expected: list[Expected]
    verdict: Verdict
    throughput: Throughput
    latencies: list[Latency]
    phases: list[Stretch] = field(default_factory=list)
    failures: list[Stretch] = field(default_factory=list)
    alerts: list[Alerts] = field(default_factory=list)
    usage: list[Usage] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    """What kept the run from being what was asked for: an interruption, a service that did not come back."""

    @property
    def passed(self) -> bool:
        """Whether everything is as expected, and nothing kept it from being seen."""
        return not self.troubles and all(one.passed for one in self.expected)
