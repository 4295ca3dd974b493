import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import filters

LEVEL = st.sampled_from(["a", "b", "", "+"])
FILTERS = st.builds(
    lambda levels, tail: [*levels, *tail] or ["a"], st.lists(LEVEL, max_size=3), st.sampled_from([[], ["#"]])
)
TOPICS = st.lists(st.sampled_from(["a", "b", ""]), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("text", "topic", "matches"),
    [
        ("a/+/c", "a/b/c", True),
        ("a/+/c", "a//c", True),
        ("a/+", "a/b/c", False),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("a/#", "ab", False),
        ("#", "a/b", True),
        ("#", "$SYS/broker", False),
        ("+/broker", "$SYS/broker", False),
        ("$aws/things/+/shadow/#", "$aws/things/weir/shadow/update", True),
        ("/a", "a", False),
    ],
)
def test_a_filter_matches_as_mqtt_says(text: str, topic: str, *, matches: bool) -> None:
    assert filters.matches(text.split("/"), topic.split("/")) is matches


@pytest.mark.parametrize("text", ["", "a#", "a/#/b", "a+/b", "a/+b", "a\0", "x" * 2000])
def test_what_is_no_filter_has_a_problem(text: str) -> None:
    assert filters.problem(text)


@pytest.mark.parametrize("text", ["#", "+", "a/+/b/#", "/", "ä/b c"])
def test_what_is_a_filter_has_none(text: str) -> None:
    assert filters.problem(text) is None


@given(FILTERS, FILTERS, TOPICS)
def test_a_filter_covers_another_only_if_it_matches_all_its_topics(
    wide: list[str], narrow: list[str], topic: list[str]
) -> None:
    if filters.covers(wide, narrow) and filters.matches(narrow, topic):
        assert filters.matches(wide, topic)


@given(FILTERS, FILTERS, TOPICS)
def test_filters_that_match_one_topic_overlap(one: list[str], other: list[str], topic: list[str]) -> None:
    if filters.matches(one, topic) and filters.matches(other, topic):
        assert filters.overlap(one, other)


@given(st.lists(FILTERS, max_size=6), TOPICS)
def test_the_fewest_filters_match_what_all_of_them_match(some: list[list[str]], topic: list[str]) -> None:
    fewest = filters.fewest(["/".join(levels) for levels in some])
    matched = [text for text in fewest if filters.matches(text.split("/"), topic)]
    assert bool(matched) == any(filters.matches(levels, topic) for levels in some)
    assert not any(filters.covers(a.split("/"), b.split("/")) for a in fewest for b in fewest if a != b), (
        "none is covered by another"
    )


def test_of_the_filters_that_match_a_topic_the_one_that_says_more_comes_first() -> None:
    texts = ["#", "a/#", "+/b", "+/#", "a/+", "a/b", "a/b/#", "+/+"]
    ordered = sorted(texts, key=lambda text: filters.specificity(text.split("/")))
    assert ordered == ["a/b", "a/b/#", "a/+", "a/#", "+/b", "+/+", "+/#", "#"]
