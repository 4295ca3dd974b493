"""How far a partition's reader has heard, whatever comes in between."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.heard import Mark


@given(steps=st.lists(st.sampled_from(["send", "tell", "note", "read"]), max_size=80))
def test_all_that_was_received_before_has_been_taken_however_the_steps_fall(steps: list[str]) -> None:
    """The stream's messages are received at 1, 2, 3 and so on; ingest tells, and the reader looks, at any time."""
    mark, sent, told, taken = Mark(), 0, 0, 0
    looked: int | None = None  # the watermark, read before the stream is asked
    for step in steps:
        if step == "send":
            sent += 1
        elif step == "tell":
            told = sent + 1  # all before this is on the stream
        elif step == "note" and looked is None:
            looked = told
        elif step == "note" and looked is not None:
            mark.note(looked, sent)
            looked = None
        elif step == "read":
            taken = min(sent, taken + 1)
            mark.reach(taken)
        assert mark.until <= taken + 1


def test_under_load_it_comes_forward_all_the_same() -> None:
    mark = Mark()
    heard = []
    for second in range(1, 10):
        mark.note(second * 100, second * 10)  # the stream is always ten messages ahead
        mark.reach((second - 1) * 10)
        heard.append(mark.until)
    assert heard == sorted(heard)
    assert heard[-1] == 700
