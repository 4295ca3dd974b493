"""What a partition hands out of what has been read of it."""

from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.aio.msg import Msg

from contracts.waiting import Waiting, divide_bytes


def messages(sizes: list[int]) -> list[Msg]:
    client = Client()
    return [Msg(client, data=bytes(size)) for size in sizes]


@given(st.lists(st.integers(0, 50), min_size=1), st.integers(0, 200))
def test_a_share_is_at_least_one_message_and_else_not_above_its_bound(sizes: list[int], most: int) -> None:
    read = messages(sizes)
    first, rest = divide_bytes(read, most)
    assert first + rest == read
    assert first
    size = sum(len(message.data) for message in first)
    assert len(first) == 1 or size <= most
    if rest:
        assert size + len(rest[0].data) > most


def test_what_comes_in_several_reads_is_handed_out_at_once() -> None:
    waiting, [first, second, third] = Waiting(ahead=10), messages([1, 2, 3])
    waiting.add([first])
    waiting.add([second, third])
    assert waiting.take(1) == [first, second, third]
    assert waiting.take(1) == []


def test_no_more_is_read_while_as_many_wait_as_may() -> None:
    waiting = Waiting(ahead=3)
    asked = []
    for sizes in ([1, 1], [1], [1]):
        waiting.add(messages(sizes))
        asked.append(waiting.much)
    waiting.take(None)
    assert [*asked, waiting.much] == [False, True, True, False]


def test_a_partition_that_lags_is_handed_out_by_shares_until_nothing_is_left() -> None:
    waiting, read = Waiting(ahead=100), messages([300_000] * 5)
    waiting.add(read[:3])
    waiting.add(read[3:])
    assert (waiting.lags, waiting.much) == (True, True)
    handed = [waiting.take(600_000) for _ in range(3)]
    assert [len(some) for some in handed] == [2, 2, 1]
    assert [message for some in handed for message in some] == read
    assert waiting.take(600_000) == []


def test_a_partition_that_lags_is_handed_out_whole_where_no_other_waits_for_it() -> None:
    waiting, read = Waiting(ahead=100), messages([2_000_000] * 3)
    waiting.add(read)
    assert waiting.take(None) == read
