"""Routes, inhibitions and silences, as they are written and as they decide."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from alerting.notify.chains import ChainSpec, compile_chain, only
from alerting.notify.configuration import configure, problem_of
from alerting.notify.document import Document, Kind
from alerting.notify.inhibition import InhibitionSpec, Sources, compile_inhibition
from alerting.notify.matching import match_all
from alerting.notify.routing import Route, RouteSpec, RoutingSpec, compile_routes, which_routes
from alerting.notify.silences import SilenceSpec, compile_silence

SECOND = 1_000_000_000
TREE = {
    "receiver": "ops",
    "group_by": ["alertname", "site"],
    "repeat_interval": "1h",
    "routes": [
        {"matchers": ['severity="critical"'], "receiver": "pager", "continue": True, "group_wait": "0s"},
        {
            "matchers": ["site=~plant-.*"],
            "chain": "night",
            "routes": [{"matchers": ["device=pump-7"], "receiver": "pumps"}, {"matchers": ["device=pump-8"]}],
        },
        {"matchers": ["site=plant-1"], "receiver": "never", "group_by": ["..."]},
    ],
}
CHAIN = ChainSpec.model_validate({"steps": [{"receivers": ["ops"]}, {"after": "5m", "receivers": ["boss", "ops"]}]})


def tree(spec: dict[str, Any] = TREE) -> Route:
    return compile_routes(RouteSpec.model_validate(spec), {"night": compile_chain(CHAIN)}, {})


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({}, ["ops"]),
        ({"severity": "critical"}, ["pager"]),
        ({"severity": "critical", "site": "plant-1"}, ["pager", "night"]),
        ({"site": "plant-1", "device": "pump-7"}, ["pumps"]),
        ({"site": "plant-1", "device": "pump-8"}, ["night"]),
        ({"site": "office"}, ["ops"]),
    ],
)
def test_the_deepest_node_tells_and_siblings_behind_it_only_if_it_continues(
    labels: dict[str, str], told: list[str]
) -> None:
    assert [route.receiver or route.chain for route in which_routes(tree(), labels)] == told


def test_a_node_has_what_it_does_not_say_from_above() -> None:
    pager, plant, never = tree().routes
    assert (pager.timing.wait, pager.timing.repeat, pager.group_by) == (0, 3600 * SECOND, ("alertname", "site"))
    assert (plant.routes[1].chain, plant.routes[0].chain, plant.routes[0].steps) == ("night", None, only("pumps"))
    labels = {"alertname": "hot", "site": "plant-1", "device": "a"}
    assert pager.group_labels(labels) == {"alertname": "hot", "site": "plant-1"}
    assert never.group_labels(labels) == labels
    assert pager.group_key(labels) == pager.group_key(labels | {"device": "b"}) != plant.group_key(labels)
    assert never.group_key(labels) != never.group_key(labels | {"device": "b"})


def test_a_node_keeps_its_id_where_others_come_before_it() -> None:
    before = {route.id for route in tree().routes}
    more = TREE | {"routes": [{"matchers": ["new=1"]}, *TREE["routes"]]}
    assert before < {route.id for route in tree(more).routes}
    twice = TREE | {"routes": [{"matchers": ["a=1"]}, {"matchers": ["a=1"]}]}
    assert len({route.id for route in tree(twice).routes}) == 2


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"receiver": "a", "chain": "b"}, "either receiver or chain"),
        ({"matchers": ["a=1"]}, "root is for every alert"),
        ({"group_by": ["...", "a"]}, "stands alone"),
        ({"group_by": ["a", "a"]}, "twice"),
        ({"repeat_interval": "0s"}, "at least 1s"),
        ({"routes": [{"matchers": ["nonsense"]}]}, "is no matcher"),
        ({"recever": "a"}, "Extra inputs"),
        ({"routes": [{} for _ in range(1000)]}, "more than 1000"),
    ],
)
def test_what_cannot_be_is_refused_in_words(spec: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        RoutingSpec.model_validate({"route": spec})


def test_routes_are_not_nested_too_deep() -> None:
    spec: dict[str, Any] = {}
    for _ in range(10):
        spec = {"routes": [spec]}
    with pytest.raises(ValidationError, match="nested"):
        RoutingSpec.model_validate({"route": spec})


@pytest.mark.parametrize(
    "steps",
    [
        [{"after": "1m", "receivers": ["a"]}],
        [{"receivers": ["a"]}, {"receivers": ["b"]}],
        [{"receivers": []}],
        [],
    ],
)
def test_a_chain_begins_at_once_and_goes_on(steps: list[Any]) -> None:
    with pytest.raises(ValidationError):
        ChainSpec.model_validate({"steps": steps})


def test_a_chain_that_repeats_has_its_steps_again() -> None:
    spec = CHAIN.model_dump() | {"repeat": {"every": "10m", "times": 1}}
    minutes = [step.after // (60 * SECOND) for step in compile_chain(ChainSpec.model_validate(spec)).steps]
    assert minutes == [0, 5, 10, 15]
    with pytest.raises(ValidationError, match="longer than the last"):
        ChainSpec.model_validate(CHAIN.model_dump() | {"repeat": {"every": "5m"}})


def document(kind: Kind, name: str, content: dict[str, Any]) -> Document:
    return Document(kind=kind, id=name, version=1, content=content, secrets={}, created_at=0, updated_at=0)


def test_documents_that_name_what_is_not_there_are_a_problem_and_what_can_be_used_is() -> None:
    calendar = document(Kind.CALENDAR, "holidays", {"dates": ["12-24"]})
    silence = document(
        Kind.SILENCE,
        "s",
        {"matchers": ["a=1"], "schedule": {"only_on": ["holidays"]}, "comment": "c", "created_by": "ann"},
    )
    chain = document(Kind.CHAIN, "night", CHAIN.model_dump(mode="json"))
    routing = document(Kind.ROUTING, "routing", {"route": {"chain": "night"}})
    receivers = [document(Kind.RECEIVER, name, {}) for name in ("ops", "boss")]
    everything = [calendar, silence, chain, routing, *receivers]
    assert problem_of(everything) is None
    assert configure(everything, built_in=True).problems == ()
    for gone in (calendar, chain, receivers[1]):
        problem = problem_of([found for found in everything if found is not gone])
        assert problem is not None
        assert repr(gone.id) in problem
    left = configure([silence, routing, *receivers], built_in=True)
    assert (left.root.receiver, left.silences, len(left.problems)) == ("default", (), 2)
    assert configure([], built_in=False).root.steps is None


INHIBITION = InhibitionSpec.model_validate(
    {"source": ["kind=gateway"], "target": ["severity!=critical"], "equal": ["site"]}
)
SOME_LABELS = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(["gateway", "sensor"]),
        "severity": st.sampled_from(["critical", "info"]),
        "site": st.sampled_from(["a", "b", ""]),
    },
)


@given(st.dictionaries(st.sampled_from("uvwxyz"), SOME_LABELS), st.lists(st.sampled_from("uvwxyz")))
def test_inhibitors_are_those_that_a_look_at_all_pairs_finds(
    firing: dict[str, dict[str, str]], ended: list[str]
) -> None:
    inhibition = compile_inhibition(INHIBITION)
    sources = Sources([inhibition], firing.items())
    for alert_id in ended:
        sources.remove(alert_id)
        firing.pop(alert_id, None)
    for labels in firing.values():
        both = match_all(inhibition.source, labels)
        wanted = {
            name
            for name, other in firing.items()
            if match_all(inhibition.source, other)
            and other.get("site", "") == labels.get("site", "")
            and match_all(inhibition.target, labels)
            and not (both and match_all(inhibition.target, other))
        }
        found = sources.inhibitor(labels)
        assert found in wanted if wanted else found is None


def test_a_silence_holds_from_its_start_until_its_end() -> None:
    spec = {"matchers": ["a=1"], "starts_at": "1970-01-01T00:00:10Z", "ends_at": "1970-01-01T00:00:20.5Z"}
    silence = compile_silence("s", SilenceSpec.model_validate(spec | {"comment": "c", "created_by": "ann"}), {})
    moments = [10 * SECOND - 1, 10 * SECOND, 20_499_999_999, 20_500_000_000]
    assert [silence.silences({"a": "1"}, at) for at in moments] == [False, True, True, False]
    assert not silence.silences({"a": "2"}, 11 * SECOND)
    assert silence.until(11 * SECOND) == 20_500_000_000


@pytest.mark.parametrize(
    "change", [{"ends_at": None}, {"ends_at": "1969-01-01T00:00:00Z"}, {"matchers": ["a="]}, {"comment": ""}]
)
def test_a_silence_without_end_or_aim_or_reason_is_refused(change: dict[str, Any]) -> None:
    spec = {"matchers": ["a=1"], "starts_at": "1970-01-01T00:00:10Z", "ends_at": "1970-01-01T00:00:20Z"}
    with pytest.raises(ValidationError):
        SilenceSpec.model_validate(spec | {"comment": "c", "created_by": "ann"} | change)
