import pytest

from contracts import logs
from contracts.lease import Lease, Times
from tests.fake_bucket import FakeBucket

TIMES = Times(renew=2.0, lose=6.0, take=10.0)


class Process:
    def __init__(self, name: str, bucket: FakeBucket, ahead: float) -> None:
        self.now = ahead
        self.changes: list[bool] = []
        self.lease = Lease(bucket, "g", name, TIMES, lambda: self.now, self._changed, logs.quiet())

    def _changed(self) -> None:
        self.changes.append(self.lease.held)

    async def turns(self, seconds: float) -> None:
        for _ in range(int(seconds / TIMES.renew)):
            self.now += TIMES.renew
            await self.lease.turn()


def held(*processes: Process) -> list[bool]:
    return [process.lease.held for process in processes]


@pytest.fixture
def bucket() -> FakeBucket:
    return FakeBucket()


@pytest.fixture
def one(bucket: FakeBucket) -> Process:
    return Process("one", bucket, ahead=1e6)


@pytest.fixture
def other(bucket: FakeBucket) -> Process:
    return Process("other", bucket, ahead=0.0)


async def test_the_first_takes_it_and_keeps_it(one: Process, other: Process) -> None:
    for _ in range(30):
        await one.turns(TIMES.renew)
        await other.turns(TIMES.renew)
        assert held(one, other) == [True, False]
    assert one.changes == [True]


async def test_another_takes_it_when_it_has_not_been_renewed_for_long(one: Process, other: Process) -> None:
    await one.turns(TIMES.renew)
    await other.turns(TIMES.take)
    assert held(other) == [False]
    await other.turns(TIMES.renew)
    assert held(other) == [True]
    await one.turns(TIMES.renew)
    assert one.changes == [True, False]


async def test_one_that_cannot_renew_gives_up_before_another_takes_it(
    one: Process, other: Process, bucket: FakeBucket
) -> None:
    await one.turns(TIMES.renew)
    await other.turns(TIMES.renew)
    bucket.away = True
    await one.turns(TIMES.lose)
    assert held(one) == [True]
    await one.turns(TIMES.renew)
    assert held(one) == [False]
    assert TIMES.lose + TIMES.renew < TIMES.take
    bucket.away = False
    await other.turns(TIMES.take)
    assert held(other) == [True]


async def test_a_renewal_that_was_done_unheard_loses_nothing(one: Process, bucket: FakeBucket) -> None:
    await one.turns(TIMES.renew)
    bucket.deaf = True
    await one.turns(TIMES.renew)
    bucket.deaf = False
    await one.turns(4 * TIMES.renew)
    assert one.changes == [True]


async def test_one_that_is_released_is_taken_at_once(one: Process, other: Process) -> None:
    await one.turns(TIMES.renew)
    await other.turns(TIMES.renew)
    await one.lease.release()
    assert one.changes == [True, False]
    await other.turns(TIMES.renew)
    assert held(other) == [True]


async def test_of_two_that_take_it_at_once_one_gets_it(one: Process, other: Process, bucket: FakeBucket) -> None:
    await bucket.write("g", b"dead", 0)
    for process in (one, other):
        await process.turns(TIMES.take)
    await one.turns(TIMES.renew)
    await other.turns(TIMES.renew)
    assert held(one, other) == [True, False]


async def test_groups_are_apart(one: Process, bucket: FakeBucket) -> None:
    elsewhere = Lease(bucket, "h", "else", TIMES, lambda: 0.0, lambda: None, logs.quiet())
    await one.turns(TIMES.renew)
    await elsewhere.turn()
    assert elsewhere.held


async def test_each_change_of_owner_raises_the_epoch_and_renewing_does_not(one: Process, other: Process) -> None:
    await one.turns(6 * TIMES.renew)
    assert one.lease.epoch == 1
    await one.lease.release()
    await other.turns(3 * TIMES.renew)
    assert other.lease.epoch == 2
    await other.lease.release()
    await other.turns(TIMES.renew)
    assert (other.lease.held, other.lease.epoch) == (True, 3)


async def test_one_that_was_stopped_knows_that_it_may_have_lost_the_lease_before_it_asks(one: Process) -> None:
    await one.turns(TIMES.renew)
    one.now += TIMES.lose
    assert one.lease.held
    one.now += 0.1
    assert not one.lease.held


async def test_one_that_only_looks_does_not_take_it(one: Process) -> None:
    await one.lease.turn(take=False)
    assert not one.lease.held
    await one.lease.turn()
    assert one.lease.held


async def test_it_can_be_released_for_a_later_epoch(one: Process, other: Process) -> None:
    await one.turns(TIMES.renew)
    await one.lease.release(7)
    await other.turns(TIMES.renew)
    assert other.lease.epoch == 8


async def test_one_whose_taking_was_done_unheard_takes_it_with_another_epoch(
    one: Process, other: Process, bucket: FakeBucket
) -> None:
    bucket.deaf = True
    await one.turns(TIMES.renew)
    assert held(one) == [False]
    bucket.deaf = False
    await other.turns(TIMES.renew)
    await one.turns(TIMES.renew)
    assert held(one, other) == [True, False]
    assert one.lease.epoch == 2


async def test_what_cannot_be_read_is_somebody_elses(one: Process, bucket: FakeBucket) -> None:
    await bucket.write("g", b"not an entry", 0)
    await one.turns(TIMES.take)
    assert not one.lease.held
    await one.turns(TIMES.renew)
    assert one.lease.held
