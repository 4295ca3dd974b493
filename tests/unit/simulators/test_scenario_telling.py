"""What came of a run, by the names that expectations have, and as a report."""

from collections import Counter

import numpy as np
import pytest

from simulators.scenario.measuring import Measured
from simulators.scenario.reading import build
from simulators.scenario.report import Alerts, Expected, Fault, Stretch, Usage
from simulators.scenario.running import Sent
from simulators.scenario.spec import Scenario
from simulators.scenario.telling import Outcome, report, values
from simulators.truth.histogram import Histogram
from simulators.truth.verdict import FaultCounts, Verdict

PUMPS = {"model": "pump", "devices": 3, "connections": 2, "faults": [{"kind": "malformed", "rate": 0.1}]}


def scenario(*expect: str) -> Scenario:
    rule = {"name": "overpressure", "event": "overpressure", "body": {}}
    table = {"name": "works", "fleet": [PUMPS], "phase": [{"seconds": 10}, {"name": "end", "seconds": 5}]}
    return build(table | {"rule": [rule], "expect": list(expect)}, "a test")


def outcome(found: Verdict | None = None) -> Outcome:
    took = Histogram()
    took.add(np.array([10_000_000, 30_000_000], dtype=np.int64))
    return Outcome(
        Sent(
            began=1,
            seconds=15.0,
            published=45,
            acked=30,
            reconnects=2,
            behind=0.25,
            usage=[Usage("ingest", 1, 1, 1, 3)],
        ),
        Measured(1),
        found,
        histograms={"latency": took, "alert": Histogram()},
        alerts=[Alerts("overpressure", "overpressure", 4, 3, 3, 0, 1, 1.0, 0.75)],
    )


def verdict() -> Verdict:
    found = Verdict(published=30, stored=27, dead_lettered=2, lost=1, duplicates=4, accepted=5, rejected=6)
    found.reasons = Counter({"malformed": 2})
    found.faults = {"malformed": FaultCounts(published=2, dead_lettered=2)}
    return found


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("published", 45),
        ("acked", 30),
        ("stored", 27),
        ("lost", 1),
        ("duplicated", 4),
        ("wrongly_accepted", 5),
        ("wrongly_rejected", 6),
        ("dead_letters", 2),
        ("dead_letters.malformed", 2),
        ("dead_letters.bad_time", 0),
        ("reconnects", 2),
        ("restarts", 3),
        ("rate", 2.0),
        ("behind", 0.25),
        ("alerts.overpressure", 4),
        ("alerts.overpressure.recall", 1.0),
        ("alerts.overpressure.precision", 0.75),
        ("alerts.overpressure.false", 1),
        ("max_latency", 0.03),
        ("p99_alert", None),
        ("p99_puback", None),
    ],
)
def test_every_name_has_what_was_measured(name: str, found: float | None) -> None:
    assert values(outcome(verdict()))(name) == (None if found is None else pytest.approx(found, rel=1e-3))


@pytest.mark.parametrize("name", ["lost", "stored", "dead_letters", "dead_letters.malformed"])
def test_where_nobody_was_asked_nothing_is_known_of_messages(name: str) -> None:
    assert values(outcome())(name) is None


def test_a_report_says_what_was_run_what_was_expected_and_what_came_of_it() -> None:
    ran = outcome(verdict())
    ran.measured.faults["malformed"], ran.measured.to_reject["malformed"] = 3, 3
    ran.sent.failures = [Stretch("kill ingest", 3.0, None)]
    told = report(
        scenario("lost == 0", "alerts.overpressure.recall == 1", "p99_puback < 1 s"),
        ran,
        began="now",
        repeat="again",
        versions={},
    )
    assert told.expected == [
        Expected("lost == 0", "1", passed=False),
        Expected("alerts.overpressure.recall == 1", "1", passed=True),
        Expected("p99_puback < 1 s", "not measured", passed=False),
    ]
    assert not told.passed
    assert told.fleet == ["3 x pump as json, 1 readings/s each, 2 connections; faults: malformed"]
    assert told.phases == [Stretch("phase 1", 0.0, 10.0), Stretch("end", 10.0, 15.0)]
    assert told.failures == ran.sent.failures
    assert told.verdict.counts["acked"] == 30
    assert told.verdict.reasons == {"malformed": 2}
    assert told.verdict.faults == [Fault("malformed", 3, 3, 0, 2, 0, 0)]


def test_what_went_wrong_with_the_run_fails_it_whatever_the_numbers_are() -> None:
    ran = outcome(Verdict(published=30, stored=30))
    assert report(scenario("lost == 0"), ran, began="", repeat="", versions={}).passed
    ran.troubles.append("alerting does not answer")
    assert not report(scenario("lost == 0"), ran, began="", repeat="", versions={}).passed
