"""How many connections a process may have."""

import resource

import pytest

from simulators.connections.limits import ConnectionsLimitError, allow_connections
from simulators.connections.parties import MOST_WINDOW, Options


def test_more_connections_than_the_system_allows_are_refused_by_number() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY:
        pytest.skip("this system has no limit")
    with pytest.raises(ConnectionsLimitError, match=rf"may have {hard} \(ulimit -Hn\)"):
        allow_connections(hard)


def test_as_many_files_as_connections_need_may_be_open_afterwards() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        allow_connections(300)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 556
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("window", [0, MOST_WINDOW + 1])
def test_a_window_has_to_fit_packet_ids(window: int) -> None:
    with pytest.raises(ValueError, match=f"a window of {window} messages"):
        Options(window=window)
