import pytest

from contracts import logs
from ingest.lease import LOSE_S, RENEW_S, TAKE_S, AwayError, Lease


class KeyValue:
    """Compares and sets as the stream server does. `away`: does and says nothing; `deaf`: does what is asked."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[bytes, int]] = {}
        self._sequence = 0
        self.away = self.deaf = False

    async def read(self, key: str) -> tuple[bytes, int] | None:
        if self.away:
            raise AwayError
        return self._entries.get(key)

    async def write(self, key: str, value: bytes, last: int) -> int | None:
        if self.away:
            raise AwayError
        if self._entries.get(key, (b"", 0))[1] != last:
            return None
        self._sequence += 1
        self._entries[key] = value, self._sequence
        if self.deaf:
            raise AwayError
        return self._sequence


class Process:
    def __init__(self, name: str, bucket: KeyValue, ahead: float) -> None:
        self.now = ahead
        self.changes: list[bool] = []
        self.lease = Lease(bucket, "g", name, lambda: self.now, self._changed, logs.quiet())

    def _changed(self) -> None:
        self.changes.append(self.lease.held)

    async def turns(self, seconds: float) -> None:
        for _ in range(int(seconds / RENEW_S)):
            self.now += RENEW_S
            await self.lease.turn()


def held(*processes: Process) -> list[bool]:
    return [process.lease.held for process in processes]


@pytest.fixture
def bucket() -> KeyValue:
    return KeyValue()


@pytest.fixture
def one(bucket: KeyValue) -> Process:
    return Process("one", bucket, ahead=1e6)


@pytest.fixture
def other(bucket: KeyValue) -> Process:
    return Process("other", bucket, ahead=0.0)


async def test_the_first_takes_it_and_keeps_it(one: Process, other: Process) -> None:
    for _ in range(30):
        await one.turns(RENEW_S)
        await other.turns(RENEW_S)
        assert held(one, other) == [True, False]
    assert one.changes == [True]


async def test_another_takes_it_when_it_has_not_been_renewed_for_long(one: Process, other: Process) -> None:
    await one.turns(RENEW_S)
    await other.turns(TAKE_S)
    assert held(other) == [False]
    await other.turns(RENEW_S)
    assert held(other) == [True]
    await one.turns(RENEW_S)
    assert one.changes == [True, False]


async def test_one_that_cannot_renew_gives_up_before_another_takes_it(
    one: Process, other: Process, bucket: KeyValue
) -> None:
    await one.turns(RENEW_S)
    await other.turns(RENEW_S)
    bucket.away = True
    await one.turns(LOSE_S)
    assert held(one) == [True]
    await one.turns(RENEW_S)
    assert held(one) == [False]
    assert LOSE_S + RENEW_S < TAKE_S
    bucket.away = False
    await other.turns(TAKE_S)
    assert held(other) == [True]


async def test_a_renewal_that_was_done_unheard_loses_nothing(one: Process, bucket: KeyValue) -> None:
    await one.turns(RENEW_S)
    bucket.deaf = True
    await one.turns(RENEW_S)
    bucket.deaf = False
    await one.turns(4 * RENEW_S)
    assert one.changes == [True]


async def test_one_that_is_released_is_taken_at_once(one: Process, other: Process) -> None:
    await one.turns(RENEW_S)
    await other.turns(RENEW_S)
    await one.lease.release()
    assert one.changes == [True, False]
    await other.turns(RENEW_S)
    assert held(other) == [True]


async def test_of_two_that_take_it_at_once_one_gets_it(one: Process, other: Process, bucket: KeyValue) -> None:
    await bucket.write("g", b"dead", 0)
    for process in (one, other):
        await process.turns(TAKE_S)
    await one.turns(RENEW_S)
    await other.turns(RENEW_S)
    assert held(one, other) == [True, False]


async def test_groups_are_apart(one: Process, bucket: KeyValue) -> None:
    elsewhere = Lease(bucket, "h", "else", lambda: 0.0, lambda: None, logs.quiet())
    await one.turns(RENEW_S)
    await elsewhere.turn()
    assert elsewhere.held
