"""Names: partitions, keys and topics."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import streams, topics
from contracts.devices import kv_key

devices = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def test_a_partition_never_changes() -> None:
    assert [streams.partition_of(device, 16) for device in ("pump-001", "env-001", "Kiln East", "ß")] == [4, 3, 3, 7]


@given(devices, st.integers(1, 64))
def test_a_partition_is_one_of_those_there_are(device: str, partitions: int) -> None:
    assert 0 <= streams.partition_of(device, partitions) < partitions


@given(devices | st.just(""))
def test_a_dead_letters_subject_is_short_and_its_filters_cover_it(device: str) -> None:
    subject = streams.deadletter_subject("malformed", device)
    assert re.fullmatch(r"deadletters\.malformed\.[0-9]{1,4}", subject)
    for covering in (("malformed", device), ("malformed", None), ("*", device)):
        patterns = [f.replace(".", r"\.").replace("*", "[^.]+") for f in streams.deadletter_subjects(*covering)]
        assert [bool(re.fullmatch(pattern, subject)) for pattern in patterns] == [False, True]
        assert re.fullmatch(patterns[0], "deadletters.malformed"), "of before there were slots"


@given(devices)
def test_a_key_has_only_characters_that_the_bucket_allows(device: str) -> None:
    assert re.fullmatch(r"[-/_=a-zA-Z0-9]+", kv_key(device))


@given(devices, devices)
def test_two_devices_never_share_a_key(one: str, other: str) -> None:
    assert (kv_key(one) == kv_key(other)) == (one == other)


@pytest.mark.parametrize("device", ["a", "Kiln East", "24:0a:c4", "ß", "x" * 256])
def test_what_fits_a_topic_level_is_a_device_id(device: str) -> None:
    assert topics.device_id_problem(device) is None


@pytest.mark.parametrize(
    ("device", "problem"),
    [("", "empty"), ("a/b", "one of"), ("+", "one of"), ("#", "one of"), ("a\n", "control"), ("x" * 257, "256 bytes")],
)
def test_what_does_not_fit_is_none_and_says_why(device: str, problem: str) -> None:
    assert problem in str(topics.device_id_problem(device))


@pytest.mark.parametrize(
    ("topic", "named"),
    [
        (topics.command_response("pump-1", "c-7"), "c-7"),
        (topics.provision_request("5e0a"), "5e0a"),
        ("request", ""),
        ("", ""),
        ("/request", ""),
    ],
)
def test_a_topic_names_its_command_or_nonce(topic: str, named: str) -> None:
    assert topics.named_in(topic) == named


def test_what_devices_are_told_is_told_apart_from_what_they_tell() -> None:
    told = [
        topics.errors("d"),
        topics.desired("d"),
        topics.command("d", "c"),
        topics.provision_response("n"),
    ]
    tell = [
        topics.telemetry("d"),
        topics.status("d"),
        topics.reported("d"),
        topics.command_response("d", "c"),
        topics.provision_request("n"),
    ]
    assert [topics.is_told(topic.split("/")) for topic in told + tell] == [True] * len(told) + [False] * len(tell)
