import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices_api.twins.commands import ENDED, Answer, CommandState, rank, read_answer, steps

STATES = list(CommandState)


@given(st.lists(st.sampled_from(STATES), max_size=8))
def test_a_command_goes_through_each_number_once_and_ends_for_good(wished: list[CommandState]) -> None:
    history = [CommandState.QUEUED]
    for to in wished:
        history += steps(history[-1], to)
    assert all(rank(earlier) < rank(later) for earlier, later in itertools.pairwise(history))
    assert all(state not in ENDED for state in history[:-1])
    if history[-1] not in (CommandState.QUEUED, CommandState.EXPIRED, CommandState.CANCELLED):
        assert history[1] == CommandState.SENT


def test_only_a_queued_command_expires_or_is_cancelled_and_only_a_sent_one_times_out() -> None:
    for to in (CommandState.EXPIRED, CommandState.CANCELLED):
        assert [state for state in STATES if steps(state, to)] == [CommandState.QUEUED]
    waiting = [state for state in STATES if steps(state, CommandState.TIMED_OUT)]
    assert waiting == [CommandState.SENT, CommandState.DELIVERED]


def test_an_answer_says_how_far_the_command_has_come() -> None:
    assert read_answer(b"") == Answer("succeeded")
    assert read_answer(b'{"status": "delivered"}') == Answer("delivered")
    assert read_answer(b'{"status": "failed", "error": "stuck"}') == Answer("failed", None, "stuck")
    assert read_answer(b'{"status": "succeeded", "result": [1, null]}') == Answer("succeeded", [1, None])


@pytest.mark.parametrize("payload", [b"{", b"[]", b"{}", b'{"status": "sent"}', b'{"status": "failed", "error": 1}'])
def test_an_answer_that_cannot_be_read_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|status|error"):
        read_answer(payload)
