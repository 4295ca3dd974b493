"""What a partition hands out of what has been read of it."""

from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.aio.msg import Msg

from contracts.partitions import divide_bytes


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
