import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from ingest.feedback import INTERVAL_NS, Feedback
from ingest.outcomes import Arrival

NOW = 1_767_225_600_250_000_000
ARRIVAL = Arrival("devices/d/telemetry", b'{"t": nan}', NOW)


def told(feedback: Feedback, device: str = "d", now: int = NOW) -> dict[str, Any] | None:
    found = feedback.tell(device, Reason.MALFORMED, "not JSON", ARRIVAL, now)
    if found is None:
        return None
    topic, payload = found
    assert topic == f"devices/{device}/errors"
    message: dict[str, Any] = json.loads(payload)
    return message


def test_a_device_hears_what_was_wrong_with_which_message() -> None:
    assert told(Feedback()) == {
        "reason": "malformed",
        "detail": "not JSON",
        "topic": "devices/d/telemetry",
        "received": 1_767_225_600_250,
        "sha256": hashlib.sha256(b'{"t": nan}').hexdigest()[:16],
        "suppressed": 0,
    }


def test_it_is_told_once_a_second_and_then_how_much_it_was_not_told() -> None:
    feedback = Feedback()
    assert told(feedback)
    assert [told(feedback, now=NOW + step) for step in (0, 1, INTERVAL_NS - 1)] == [None] * 3
    later = told(feedback, now=NOW + INTERVAL_NS)
    assert later is not None
    assert later["suppressed"] == 3
    assert told(feedback, now=NOW + INTERVAL_NS + 1) is None


def test_devices_do_not_wait_for_each_other() -> None:
    feedback = Feedback()
    assert all(told(feedback, f"d{number}") for number in range(100))


def test_a_clock_that_is_set_back_silences_nobody() -> None:
    feedback = Feedback()
    assert told(feedback)
    assert told(feedback, now=NOW - 3600 * INTERVAL_NS)


@pytest.mark.parametrize("device", ["", "a/b", "+", "#", "x" * 257, "tab\there", "half \ud800"])
def test_a_device_whose_id_fits_no_topic_is_not_told(device: str) -> None:
    assert Feedback().tell(device, Reason.BAD_DEVICE, "", ARRIVAL, NOW) is None


def test_what_is_remembered_is_bounded() -> None:
    feedback = Feedback(most=10)
    assert sum(told(feedback, f"d{number}") is not None for number in range(50)) == 10
    assert told(feedback, "late", NOW + INTERVAL_NS)
    assert len(feedback) == 10


@given(st.text(st.characters(exclude_categories=())), st.text(st.characters(exclude_categories=())), st.binary())
def test_whatever_it_is_about_the_message_is_small_json(detail: str, topic: str, payload: bytes) -> None:
    found = Feedback().tell("d", Reason.UNEXPECTED, detail * 100, Arrival(topic * 100, payload, NOW), NOW)
    assert found is not None
    assert len(found[1]) < 6 * 1024
    json.loads(found[1])
