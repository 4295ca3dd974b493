import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable

import pytest

from contracts import logs
from ingest import subscriptions
from ingest.sessions import NotRememberedError
from ingest.subscriptions import Subscriptions


class Peers:
    """A broker and a memory; `said` has what they were asked, in order. The broker can refuse, the memory be away."""

    def __init__(self, kept: Iterable[str] = (), refuses: Iterable[str] = ()) -> None:
        self.kept, self._refuses = frozenset(kept), frozenset(refuses)
        self.said: list[tuple[str, tuple[str, ...]]] = []
        self.away = False
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def load(self) -> frozenset[str]:
        return self.kept

    async def save(self, filters: frozenset[str]) -> None:
        if self.away:
            raise NotRememberedError("away")
        self.said.append(("remember", tuple(sorted(filters))))
        self.kept = filters

    async def subscribe(self, filters: Iterable[str]) -> bytes:
        asked = tuple(filters)
        self.said.append(("subscribe", asked))
        return bytes(0x80 if topic in self._refuses else 1 for topic in asked)

    async def unsubscribe(self, filters: Iterable[str]) -> None:
        self.said.append(("unsubscribe", tuple(filters)))

    def send(self, topic: str, payload: bytes) -> bool:
        self.said.append(("send", (topic, str(payload))))
        return True


@contextlib.asynccontextmanager
async def kept(made: Subscriptions, peers: Peers, *, session_present: bool = True) -> AsyncIterator[None]:
    task = asyncio.create_task(made.keep(peers, peers, session_present=session_present))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "QUIET_S", 0.01)
    monkeypatch.setattr(subscriptions, "RETRY_S", 0.01)


async def test_what_is_wanted_is_remembered_before_the_broker_is_asked_and_the_old_is_ended_last() -> None:
    peers = Peers(["old/#", "a/+"])
    async with kept(Subscriptions(["a/+", "b"], "", "ingest", logs.quiet()), peers):
        await until(lambda: len(peers.said) == 4)
    assert peers.said == [
        ("remember", ("a/+", "b", "old/#")),
        ("subscribe", ("a/+", "b")),
        ("unsubscribe", ("old/#",)),
        ("remember", ("a/+", "b")),
    ]


async def test_nothing_new_is_asked_while_it_cannot_be_remembered() -> None:
    peers = Peers()
    peers.away = True
    made = Subscriptions(["a"], "", "ingest", logs.quiet())
    async with kept(made, peers):
        await asyncio.sleep(0.03)  # three tries
        assert peers.said == []
        assert made.missing == ("broker",)
        peers.away = False
        await until(lambda: made.missing == ())


async def test_a_session_that_goes_on_has_its_subscriptions_and_one_that_was_lost_gets_them_again() -> None:
    peers = Peers()
    made = Subscriptions(["a"], "", "ingest", logs.quiet())
    for session_present, asked in ((False, 1), (True, 1), (False, 2)):
        async with kept(made, peers, session_present=session_present):
            await until(lambda: made.missing == ())
        made.lost()
        assert sum(what == "subscribe" for what, _ in peers.said) == asked


async def test_a_filter_that_is_refused_is_named_and_the_others_are_made() -> None:
    peers = Peers(refuses=["b"])
    made = Subscriptions(["a", "b"], "", "ingest", logs.quiet())
    async with kept(made, peers):
        await until(lambda: made.missing == ("subscription to b",))


async def test_shared_filters_are_proved_with_a_message_to_itself() -> None:
    peers = Peers()
    made = Subscriptions(["a"], "group", "ingest", logs.quiet())
    async with kept(made, peers):
        await until(lambda: ("send", ("ingest/ingest/probe", "b''")) in peers.said)
        assert made.missing == ("broker",)
        assert made.watching
        assert not made.is_ours("a")
        assert made.is_ours("ingest/ingest/probe")
        await until(lambda: made.missing == ())
    assert ("subscribe", ("$share/group/a",)) in peers.said
    assert peers.said[-1] == ("unsubscribe", ("$share/group/ingest/ingest/probe",))


@pytest.mark.parametrize("group", ["", "group"])
async def test_a_filter_by_which_messages_keep_coming_is_left_all_the_same_and_sooner_in_a_group(
    group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "QUIET_S", 60.0)
    monkeypatch.setattr(subscriptions, "LEAVE_SHARED_S" if group else "LEAVE_S", 0.05)
    monkeypatch.setattr(subscriptions, "LEAVE_S" if group else "LEAVE_SHARED_S", 60.0)
    peers = Peers(["old/#"])
    made = Subscriptions(["a"], group, "ingest", logs.quiet())
    async with kept(made, peers):
        await until(lambda: made.is_ours("ingest/ingest/probe") and ("unsubscribe", ("old/#",)) in peers.said)
