from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from alerting.judges.build import build
from alerting.judges.condition import Condition, ConditionMemory
from alerting.judges.verdict import Device, FailedError, Seen, Verdict
from alerting.rules.spec import content_of, parse_spec
from contracts.devices import DeviceRecord
from contracts.readings import Value

S = 1_000_000_000
STILL = Device("still-2", DeviceRecord(1, "still-2", True, "still", {"site": "north"}, ["cellar", "house"]))  # noqa: FBT003


class Judged:
    """A condition over one device, with the newest value of each metric, as evaluation keeps them."""

    def __init__(self, device: Device = STILL, **content: Any) -> None:  # noqa: ANN401 - as an author writes it
        judge = build("r", 1, parse_spec({"name": "r", "kind": "condition", **content})).judge
        assert isinstance(judge, Condition)
        self.judge, self.device = judge, device
        self.last: dict[str, Seen] = {}
        self.memory = None if judge.memory is None else judge.memory()

    def __call__(self, at: float, **values: Value) -> Verdict | None:
        ts = int(at * S)
        self.last |= {metric: (ts, value) for metric, value in values.items()}
        if self.memory is not None:  # it survives a restart after each reading
            self.memory = msgspec.msgpack.decode(msgspec.msgpack.encode(self.memory), type=ConditionMemory)
        return self.judge.judge(ts, next(iter(values.values())), self.last, self.memory, self.device)


def test_a_condition_is_of_the_newest_value_of_each_metric() -> None:
    judged = Judged(condition='t > 30 && door == "open"')
    assert judged(1, t=31.0) is None
    assert judged(2, door="shut") == (0, 0, None)
    assert judged(3, door="open") == (1, 1, None)
    assert judged(4, t=30.0) == (0, 0, None)
    assert judged(5, t=31.0, door="shut") == (0, 0, None)


def test_a_condition_ends_where_hold_says_so() -> None:
    judged = Judged(condition="t > 30 && on", hold="t > 25")
    assert [judged(at, t=t, on=on) for at, (t, on) in enumerate([(31.0, True), (26.0, False), (25.0, True)])] == [
        (1, 1, None),
        (0, 1, None),
        (0, 0, None),
    ]


def test_each_level_of_a_condition_has_an_expression_of_its_own() -> None:
    judged = Judged(
        levels=[
            {"severity": "info", "condition": "t > 30"},
            {"severity": "critical", "condition": "t > 40", "hold": "t > 35"},
        ]
    )
    assert [judged(at, t=t) for at, t in enumerate([29.0, 31.0, 36.0, 41.0])] == [
        (0, 0, None),
        (1, 1, None),
        (1, 2, None),
        (2, 2, None),
    ]


def test_a_condition_knows_what_the_registry_knows_of_the_device() -> None:
    text = 't > 30 && profile == "still" && tags.site == "north" && "house" in groups && device == "still-2"'
    assert Judged(condition=text)(1, t=31.0) == (1, 1, None)
    assert Judged(Device("still-2", None), condition=text)(1, t=31.0) == (0, 0, None)
    assert Judged(Device("x", None), condition='t > 1 && profile == "default" && tags.a == ""')(1, t=2.0) == (
        1,
        1,
        None,
    )


def test_the_rate_of_a_counter_is_that_of_its_newest_point_also_beside_other_metrics() -> None:
    judged = Judged(condition="rate(litres) > 1 && valve == 'shut'")
    assert judged(0, litres=100.0, valve="shut") is None
    assert judged(10, litres=120.0) == (1, 1, None)
    assert judged(11, valve="open") == (0, 0, None)
    assert judged(12, valve="shut") == (1, 1, None)
    assert judged(20, litres=121.0) == (0, 0, None)
    assert judged(30, litres=15.0) == (1, 1, None)  # it has begun anew


def test_a_metric_that_is_too_old_counts_as_absent() -> None:
    judged = Judged(condition="t > 30 && on", max_age="1m")
    assert judged(0, on=True) is None
    assert judged(60, t=31.0) == (1, 1, None)
    assert judged(61, t=31.0) is None
    assert judged(50, on=True) == (1, 1, None)  # the other one is newer


def test_a_condition_that_is_neither_true_nor_false_says_why() -> None:
    with pytest.raises(FailedError, match=r"the condition gives 3.0, which is neither true nor false"):
        Judged(condition="t + 1")(1, t=2.0)
    with pytest.raises(FailedError, match="an operator does not take values of these types"):
        Judged(condition="t > 1")(1, t="hot")
    with pytest.raises(FailedError, match="'t' is no number, so that it has no rate"):
        Judged(condition="rate(t) > 1")(1, t="hot")
    assert Judged(condition="t > 5 ? null : true")(1, t=6.0) is None


def test_what_a_changed_expression_no_longer_asks_for_is_forgotten() -> None:
    judged = Judged(condition="rate(a) > 1")
    judged(1, a=1.0)
    judged.judge = Judged(condition="rate(b) > 1").judge
    judged(2, b=1.0)
    assert isinstance(judged.memory, ConditionMemory)
    assert judged.memory.counters.keys() == {"b"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"condition": "t >"}, "it ends too early"),
        ({"condition": "'a' in groups"}, "names none"),
        ({"condition": "t > 1", "hold": "t.x()"}, "no method 'x'"),
        ({}, "give either condition or levels"),
        ({"levels": [{"severity": "info", "condition": "t > 1"}], "hold": "t > 0"}, "each level has its own hold"),
    ],
)
def test_a_wrong_condition_is_refused_with_the_reason(content: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        parse_spec({"name": "r", "kind": "condition", **content})


def test_a_condition_is_kept_as_it_was_written() -> None:
    content = {"name": "r", "kind": "condition", "condition": "t > 1", "hold": "t > 0", "max_age": "5m"}
    assert content_of(parse_spec(content)) == content
