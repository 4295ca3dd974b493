"""Which partitions this process owns: by a lease on each, shared out evenly among the processes that are there."""

import asyncio
from collections.abc import Callable

from contracts.lease import AwayError, Bucket, Lease, Sight, Times, entry_of
from contracts.logs import Log
from contracts.shares import preference, quota

_MEMBER = "member"
_PARTITION = "partition"


def times(seconds: float) -> Times:
    """Another takes over after `seconds`; the holder renews six times in that, and gives up after two thirds of it."""
    return Times(renew=seconds / 6, lose=seconds * 2 / 3, take=seconds)


class Ownership:
    """The partitions that the process `me` owns; it takes and releases some in each `turn`.

    Every process announces itself in the bucket, so that each knows how many there are: one that owns more than its
    share releases the rest, one that owns fewer takes what is free or has not been renewed. `me` has to be another one
    each time a process starts, and without dots. `in_hand` tells whether anything of a partition that has been read is
    not settled yet: only then is it released. `taken` is called after each that is taken.
    """

    def __init__(
        self,
        bucket: Bucket,
        me: str,
        times: Times,
        clock: Callable[[], float],
        *,
        in_hand: Callable[[int], bool],
        taken: Callable[[], None],
        log: Log,
    ) -> None:
        self._bucket, self._me, self._times, self._clock = bucket, me, times, clock
        self._in_hand, self._taken, self._log = in_hand, taken, log
        self._member = self._lease(f"{_MEMBER}.{me}")
        self._sights: dict[str, Sight] = {}  # of the other members' keys
        self._leases: list[Lease] = []
        self._order: list[int] = []
        self._surplus: set[int] = set()
        self._dropped: dict[int, int] = {}
        self.turned = False
        """Whether there has been a turn since it was known what to share."""

    @property
    def partitions(self) -> int:
        """How many partitions are shared."""
        return len(self._leases)

    @property
    def epochs(self) -> dict[int, int]:
        """The partitions that are to be read now, and the epoch of each."""
        away = self._surplus | self._dropped.keys()
        return {
            partition: lease.epoch
            for partition, lease in enumerate(self._leases)
            if lease.held and partition not in away
        }

    def divide(self, partitions: int) -> None:
        """Share so many partitions from now on."""
        if partitions != len(self._leases):
            self._leases = [self._lease(f"{_PARTITION}.{partition}") for partition in range(partitions)]
            self._order = preference(self._me, partitions)
            self._surplus.clear()
            self._dropped.clear()
            self.turned = False

    def drop(self, partition: int, epoch: int, later: int = 0) -> None:
        """Give `partition` up, which we read in `epoch`: another has it, or its consumer is gone.

        It can be taken again, by us too, with an epoch above ours and above `later`.
        """
        if self.epochs.get(partition) == epoch:
            self._dropped[partition] = later

    async def keep(self) -> None:
        """Take turns for ever."""
        while True:
            await self.turn()
            await asyncio.sleep(self._times.renew)

    async def turn(self) -> None:
        """Renew what is owned, then release what is too much, or take what is free."""
        await self._member.turn()
        for partition, lease in enumerate(self._leases):
            if partition in self._dropped:
                await lease.release(self._dropped.pop(partition))
            else:
                await lease.turn(take=False)
        try:
            share = quota(self._me, await self._members(), len(self._leases))
        except AwayError as error:
            self._log.debug("members.unknown", error=str(error))
            return
        owned = [partition for partition in self._order if self._leases[partition].held]
        self._surplus = set(owned[share:])
        for partition in owned[share:]:
            if not self._in_hand(partition):
                await self._leases[partition].release()
        wanted = share - len(owned)
        for partition in self._order:
            lease = self._leases[partition]
            if wanted > 0 and partition not in owned:
                await lease.turn()
                if lease.held:
                    wanted -= 1
                    self._taken()
        self.turned = bool(self._leases)

    async def release(self) -> None:
        """Give up everything, so that others take it at once; call it when all is settled."""
        for lease in (self._member, *self._leases):
            await lease.release()

    async def _members(self) -> set[str]:
        """Return who is there, we included; what is left of others is deleted."""
        now, members = self._clock(), {self._me}
        keys = await self._bucket.keys(_MEMBER)
        self._sights = {key: self._sights.get(key) or Sight(self._times) for key in keys}
        for key, sight in self._sights.items():
            member = key.removeprefix(f"{_MEMBER}.")
            if member == self._me or (found := await self._bucket.read(key)) is None:
                continue
            value, revision = found
            if entry_of(value).owner and sight.still(revision, now) < self._times.take:
                members.add(member)
            else:
                await self._bucket.forget(key, revision)
        return members

    def _lease(self, key: str) -> Lease:
        return Lease(self._bucket, key, self._me, self._times, self._clock, lambda: None, self._log)
