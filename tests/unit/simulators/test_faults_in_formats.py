"""Each fault in each format, and what ingest makes of it: the very outcome that the truth says, and the very points."""

import re
from typing import Any

import pytest

from contracts.deadletters import Reason
from simulators.formats import FORMATS
from simulators.plan.batch import Expect
from tests.unit.simulators.faulty_fleet import Boiler, Numbers, Pipeline, Van, batches, fleet, unlike

STORED, PARTLY, REJECTED = (Expect.STORED, None), Expect.PARTLY, Expect.REJECTED
FAULTS: dict[str, dict[str, Any]] = {
    "stuck": {"kind": "stuck", "every": 10, "length": 5},
    "spike": {"kind": "spike", "rate": 0.3},
    "spike that the profile does not allow": {"kind": "spike", "rate": 0.3, "profile": True},
    "drift": {"kind": "drift", "amount": 100},
    "nan": {"kind": "nan", "rate": 0.3},
    "wrong type by the profile": {"kind": "wrong_type", "rate": 0.3},
    "wrong type, no profile": {"kind": "wrong_type", "rate": 0.3, "profile": False},
    "clock ahead": {"kind": "clock_skew", "seconds": 100},
    "clock behind": {"kind": "clock_skew", "seconds": -5000, "devices": 0.5},
    "clock too far ahead": {"kind": "clock_skew", "seconds": 5000},
    "clock jump": {"kind": "clock_jump", "every": 10, "length": 3},
    "clock unset": {"kind": "clock_unset"},
    "no clock": {"kind": "clock_unset", "says": "nothing"},
    "malformed": {"kind": "malformed", "rate": 0.4},
    "oversize": {"kind": "oversize", "rate": 0.1},
    "duplicate": {"kind": "duplicate", "rate": 0.3, "times": 2, "gap": 1.5},
    "out of order": {"kind": "out_of_order", "rate": 0.3, "delay": 2.5},
    "offline": {"kind": "offline", "every": 10, "length": 4},
    "foreign and refused": {"kind": "foreign", "rate": 0.2},
    "foreign, nobody checks": {"kind": "foreign", "rate": 0.2, "checked": False},
    "retained": {"kind": "retained", "rate": 0.3},
    "dup": {"kind": "dup", "rate": 0.3},
}
MODELS: dict[str, list[Boiler]] = {"json": [Boiler(), Numbers()], "owntracks": [Van()], "teslamate": [Van()]}


@pytest.mark.parametrize("name", FORMATS)
def test_every_fault_of_a_format_has_the_outcome_that_the_truth_says(name: str) -> None:
    refused = []
    for model in MODELS.get(name, [Boiler()]):
        for title, fault in FAULTS.items():
            try:
                plan = fleet([fault], spoken=name, model=model, count=3, rate=0.9, seconds=12)
            except ValueError as error:
                refused.append(str(error))
                continue
            pipeline = Pipeline(plan, profile=fault.get("profile", fault["kind"] == "wrong_type"))
            pipeline.open()
            assert pipeline.check(batches(plan)) or title == "foreign and refused"
    for why in refused:  # for a reason, and nothing else
        assert re.fullmatch(r"[a-z_ ]+: (not in format|messages of|times of format) .+", why)
    assert len(refused) <= (9 if "have no time" in str(refused) else 7)


@pytest.mark.parametrize(
    ("title", "outcomes"),
    [
        ("stuck", {STORED}),
        ("spike", {STORED}),
        ("spike that the profile does not allow", {(PARTLY, Reason.OUT_OF_RANGE)}),
        ("nan", {(PARTLY, Reason.BAD_VALUE)}),
        ("wrong type by the profile", {(PARTLY, Reason.WRONG_TYPE)}),
        ("wrong type, no profile", {STORED}),
        ("clock too far ahead", {STORED}),
        ("malformed", {(REJECTED, Reason.MALFORMED)}),
        ("oversize", {(REJECTED, Reason.TOO_LARGE)}),
        ("duplicate", {STORED}),
    ],
)
def test_a_fault_is_rejected_for_the_reason_that_is_meant(title: str, outcomes: set[Any]) -> None:
    plan = fleet([FAULTS[title]])
    assert set(Pipeline(plan, profile=FAULTS[title].get("profile", "type" in title)).check(batches(plan))) == outcomes


@pytest.mark.parametrize("name", ["json", "value", "senml-cbor", "sparkplug", "homie"])
def test_malformed_payloads_are_each_unlike_every_other(name: str) -> None:
    found = list(unlike(batches(fleet([{"kind": "malformed", "rate": 1.0}], spoken=name))))
    assert len(found) == len(set(found)) >= 80


def test_faults_of_several_families_come_together_and_the_truth_still_holds() -> None:
    faults = [fault | ({"rate": 0.1} if "rate" in fault else {"devices": 0.2}) for fault in FAULTS.values()]
    allowed = [fault for fault in faults if fault["kind"] != "spike" and fault.get("profile", True)]
    plan = fleet(allowed, count=20, seconds=60)
    found = batches(plan)
    Pipeline(plan, profile=True).check(found)
    names = {name for batch in found for name in batch.faults}
    assert any("+" in name for name in names)
    assert {"malformed", "duplicate", "nan"} <= {part for name in names for part in name.split("+")}
