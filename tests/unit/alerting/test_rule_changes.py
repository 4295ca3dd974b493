"""What changing a rule does to its alerts, and which rules look at which readings."""

import msgspec
import pytest

from contracts.alerts import clear_problem
from tests.unit.alerting.stories import Story, rule


def reasons(story: Story) -> list[str | None]:
    return [alert.reason.value if alert.reason else None for alert in story.changes]


def test_deleting_a_rule_resolves_its_alerts() -> None:
    story = Story(rule())
    story.hears(0, 31.0)
    story.remove(at=5)
    assert story.told == [("firing", 0), ("resolved", 5)]
    assert reasons(story)[-1] == "rule_deleted"


def test_deleting_a_rule_withdraws_what_is_pending() -> None:
    story = Story(rule(for_s=30))
    story.hears(0, 31.0)
    story.remove(at=5)
    assert story.told == [("pending", 0), ("withdrawn", 0)]


def test_disabling_resolves_and_enabling_begins_anew() -> None:
    story = Story(rule())
    story.hears(0, 31.0)
    story.put(rule(enabled=False), at=5)
    story.hears(6, 31.0)
    story.put(rule(), at=7)
    story.hears(8, 31.0)
    assert story.told == [("firing", 0), ("resolved", 5), ("firing", 8)]
    assert reasons(story)[1] == "rule_disabled"


def test_a_new_threshold_is_applied_with_the_next_reading() -> None:
    story = Story(rule())
    story.hears(0, 31.0)
    story.put(rule(value=40.0), at=5)
    assert story.told == [("firing", 0)]
    story.hears(6, 31.0)
    assert story.told == [("firing", 0), ("resolved", 6)]


def test_what_is_pending_begins_anew_with_another_condition() -> None:
    story = Story(rule(for_s=600))
    for second in range(0, 600, 60):
        story.hears(second, 31.0)
    story.put(rule(value=40.0, for_s=600), at=599)
    story.hears(601, 45.0)
    story.clock(602)
    assert fired(story) == [], "one reading alone is above the new threshold"
    for second in range(661, 1262, 60):
        story.hears(second, 45.0)
    assert fired(story) == [1201]
    assert story.changes[-1].threshold == 40.0


def fired(story: Story) -> list[float | None]:
    return [at for state, at in story.told if state == "firing"]


def test_what_is_pending_fires_as_the_rule_is_by_then() -> None:
    story = Story(rule(for_s=60))
    story.hears(0, 31.0)
    story.put(rule(name="renamed", severity="critical", for_s=60), at=30)
    story.hears(61, 31.0)
    assert (story.changes[-1].rule, story.changes[-1].severity) == ("renamed", "critical")


@pytest.mark.parametrize(
    "changed", [rule(metric="humidity"), rule(devices=frozenset({"other"})), rule(profile="meter")]
)
def test_a_rule_that_no_longer_looks_at_a_device_resolves_its_alert(changed: object) -> None:
    assert isinstance(changed, type(rule()))
    story = Story(rule(), profiles={"pump": "pump"})
    story.hears(0, 31.0)
    story.put(changed, at=5)
    assert story.told == [("firing", 0), ("resolved", 5)]
    assert reasons(story)[-1] == "rule_changed"


def test_a_device_whose_profile_is_not_known_keeps_its_alert() -> None:
    story = Story(rule())
    story.hears(0, 31.0)
    story.put(rule(profile="pump"), at=5)
    assert story.told == [("firing", 0)]


def test_a_rule_looks_only_at_its_devices() -> None:
    story = Story(rule(devices=frozenset({"a", "b"})))
    for device in ("a", "b", "c"):
        story.hears(0, 31.0, device=device)
    assert [alert.device for alert in story.changes] == ["a", "b"]


def test_a_rule_looks_only_at_its_metric() -> None:
    story = Story(rule())
    story.hears(0, 31.0, metric="humidity")
    assert story.told == []


def test_a_profile_counts_from_when_it_is_known() -> None:
    story = Story(rule(profile="pump"))
    story.hears(0, 31.0, device="a")
    story.profiles["a"] = "pump"
    story.evaluation.device_changed("a")
    story.hears(1, 31.0, device="a")
    assert story.told == [("firing", 1)]


def test_several_rules_judge_the_same_reading() -> None:
    story = Story(rule())
    story.put(msgspec.structs.replace(rule(value=40.0), id="hotter"))
    story.hears(0, 41.0)
    assert [alert.rule_id for alert in story.changes] == ["rule", "hotter"]


@pytest.mark.parametrize(("operator", "clear"), [("gt", 30.0), ("ge", 29.0), ("lt", 30.0), ("le", 31.0), ("gt", None)])
def test_clear_on_the_right_side_is_taken(operator: str, clear: float | None) -> None:
    assert clear_problem(operator, 30.0, clear) is None  # type: ignore[arg-type]


def test_clear_on_the_wrong_side_is_explained() -> None:
    assert clear_problem("gt", 30.0, 31.0) == (
        "clear (31) has to be at most value (30) for operator gt: an alert ends at clear or below"
    )
    assert clear_problem("le", 30.0, 29.0) == (
        "clear (29) has to be at least value (30) for operator le: an alert ends at clear or above"
    )
