from hypothesis import given
from hypothesis import strategies as st

from contracts.shares import preference, quota

names = st.sets(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=9)


@given(names, st.integers(1, 40))
def test_the_shares_are_even_and_sum_up_to_all(members: set[str], partitions: int) -> None:
    shares = [quota(member, members, partitions) for member in members]
    assert sum(shares) == partitions
    assert max(shares) - min(shares) <= 1


@given(st.text("abc", min_size=1, max_size=3), st.integers(0, 40))
def test_everybody_wants_every_partition_in_some_order(me: str, partitions: int) -> None:
    assert sorted(preference(me, partitions)) == list(range(partitions))


def test_two_begin_with_different_partitions() -> None:
    assert preference("a", 16) != preference("b", 16)
    assert preference("a", 16) == preference("a", 16)
