"""Up to when ingest says that it has heard everything, through whatever may stop it."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.watermark import LEAST_NS, MOST_NS, PATIENCE_NS, Watermark

S = 1_000_000_000
START = 1_767_225_600 * S


def second(number: float) -> int:
    return START + round(number * S)


def well(mark: Watermark, begin: int, end: int) -> list[int]:
    """Note a sign each second, half a second old, and give what the watermark then is."""
    return [mark.note(second(number - 0.5), second(number)) for number in range(begin, end)]


def settled(*, upto: int = 0) -> Watermark:
    mark = Watermark(upto)
    mark.connected(second(0), session_present=False)
    well(mark, 1, 10)
    assert mark.upto == second(8.5)
    return mark


def test_nothing_is_heard_until_the_broker_has_had_time_to_hand_over() -> None:
    mark = Watermark()
    assert mark.note(0, second(0)) == 0
    mark.connected(second(1), session_present=False)
    assert mark.note(0, second(1.5)) == 0
    assert well(mark, 2, 7) == [0] * 5
    assert well(mark, 7, 9) == [second(6.5), second(7.5)]


def test_after_a_gap_it_stands_still_for_as_long_again() -> None:
    mark = settled()
    for number in range(10, 40):
        assert mark.note(0, second(number)) == second(8.5)
    mark.connected(second(40), session_present=True)
    assert set(well(mark, 41, 72)) == {second(8.5)}
    assert well(mark, 73, 74) == [second(72.5)]


def test_what_the_stream_does_not_take_holds_it_back_and_the_broker_s_backlog_after_it() -> None:
    mark = settled()
    for number in range(10, 30):
        assert mark.note(second(9), second(number)) <= second(9)  # the oldest message that is held
    assert set(well(mark, 30, 50)) == {second(9)}
    assert well(mark, 50, 52)[-1] == second(50.5)


def test_another_stop_while_the_first_is_made_up_for_begins_the_wait_anew() -> None:
    mark = settled()
    mark.note(0, second(20))
    mark.connected(second(20), session_present=True)
    well(mark, 21, 28)
    mark.connected(second(28), session_present=True)
    stands = mark.upto
    assert set(well(mark, 29, 40)) == {stands}
    assert well(mark, 41, 42) == [second(40.5)]


def test_a_new_process_goes_on_where_the_last_one_left_off_and_waits_as_long_as_nobody_was_there() -> None:
    mark = Watermark(second(0))
    mark.connected(second(30), session_present=True)
    assert set(well(mark, 31, 61)) == {second(0)}
    assert well(mark, 61, 62) == [second(60.5)]


def test_a_broker_that_has_lost_what_it_kept_gives_devices_as_long_to_send_anew() -> None:
    mark = settled()
    mark.connected(second(60), session_present=False)
    assert set(well(mark, 61, 113)) == {second(8.5)}
    assert well(mark, 113, 114) == [second(112.5)]


def test_a_session_of_which_nobody_knows_how_long_it_waited_is_waited_for_longest() -> None:
    mark = Watermark()
    mark.connected(second(0), session_present=True)
    last = MOST_NS // S
    assert set(well(mark, 1, last + 1)) == {0}
    assert well(mark, last + 1, last + 2) == [second(last + 0.5)]


_STEPS = st.lists(
    st.tuples(st.sampled_from(["sign", "old", "none", "kept", "lost"]), st.integers(1, 4 * S)), min_size=1, max_size=60
)


@given(steps=_STEPS)
def test_it_never_goes_back_nor_beyond_a_sign_and_stands_for_a_while_after_each_connection(
    steps: list[tuple[str, int]],
) -> None:
    mark, now, connected, newest, before = Watermark(), START, 0, 0, 0
    for what, later in steps:
        now += later
        if what in ("kept", "lost"):
            mark.connected(now, session_present=what == "kept")
            connected = now
        else:
            sign = {"sign": now - later // 2, "old": now - 2 * PATIENCE_NS, "none": 0}[what]
            newest = max(newest, sign)
            mark.note(sign, now)
        assert before <= mark.upto <= newest
        if now - connected < LEAST_NS:
            assert mark.upto == before
        before = mark.upto
