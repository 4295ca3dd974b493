"""All partitions that this replica evaluates: what is in memory is what the database will hold at the next commits."""

import asyncio
import itertools
from collections.abc import Callable, Mapping

import msgspec

from alerting.evaluation.shard import Shard
from alerting.evaluation.writes import Writes
from alerting.metrics import Metrics
from alerting.partitions.held import Held, Taken
from alerting.partitions.rules import Rules
from alerting.repository import AWAY, TOLD, Repository
from alerting.rules.rule import Rule
from contracts.logs import Log
from contracts.ownership import Ownership
from contracts.partitions import Reader

MOST_UNSETTLED = 1_000
"""Messages of a partition that may wait for their checkpoint: well below what its consumer hands out."""

_FOLLOW_S = 0.1
_RETRY_S = 0.5
_COMMIT_S = 30.0


class Holding:
    """The partitions of which the state is in memory, and what is written of them.

    A change of an alert is written at once, by `settle`, with the rows of the devices that it is about. All that has
    changed is written every `checkpoint_s` seconds, with the positions, and only then the streams are acknowledged. A
    failed commit throws memory away; it is loaded again, and the streams read again from there. What `ownership` gives
    up is written once more, and then forgotten: until that, it is in `held`.
    """

    def __init__(  # noqa: PLR0913 - the composition root passes each by name
        self,
        held: dict[int, Held],
        repository: Repository,
        ownership: Ownership,
        rules: Rules,
        shard: Callable[[int], Shard],
        readers: Mapping[str, Reader],
        *,
        me: str,
        metrics: Metrics,
        now: Callable[[], int],
        clock: Callable[[], float],
        log: Log,
        checkpoint_s: float,
        said: Callable[[], None],
    ) -> None:
        self._repository, self._ownership, self._rules, self._shard = repository, ownership, rules, shard
        self._readers, self._me, self._metrics = readers, me, metrics
        self._now, self._clock, self._log, self._said = now, clock, log, said
        self._checkpoint_s = checkpoint_s
        self._loads = itertools.count(1)
        self._writing = asyncio.Lock()
        self._checked_at = clock()
        self._stopping = False
        self.held = held
        self.database_away = False

    @property
    def partitions(self) -> int:
        """How many partitions there are."""
        return self._ownership.partitions

    @property
    def epochs(self) -> dict[int, int]:
        """The partitions that are to be read, and the epoch of each."""
        return {partition: held.epoch for partition, held in self.held.items()}

    @property
    def complete(self) -> bool:
        """Whether all that is owned is in memory, which is something, unless there are too many of us."""
        owned = self._ownership.epochs
        return all(partition in self.held for partition in owned) and (bool(owned) or self._ownership.turned)

    def drop(self, partition: int, epoch: int, later: int = 0) -> None:
        """Give `partition` up, and forget it: another reads it."""
        held = self.held.get(partition)
        if held is not None and held.epoch == epoch:
            self._void(held)
        self._ownership.drop(partition, epoch, later)

    def void(self, held: Held) -> None:
        """Throw away what is in memory of a partition: it is loaded and read again."""
        if not held.over:
            self._void(held)

    def rule_changed(self, rule_id: str, rule: Rule | None) -> None:
        """Let a rule that has changed, or is gone, have its effect in all partitions."""
        now = self._now()
        for held in self.held.values():
            try:
                if rule is None:
                    held.shard.remove(rule_id, now)
                else:
                    held.shard.put(rule, now)
            except Exception:  # noqa: BLE001 - our bug in one partition keeps a rule from no other
                self._log.exception("rule.unexpected", partition=held.partition, rule=rule_id)

    async def follow(self) -> None:
        """Load what is owned, and write and forget what is not any more, for ever."""
        while True:
            owned = self._ownership.epochs
            gone = [held for partition, held in self.held.items() if owned.get(partition) != held.epoch]
            if gone:
                await self._give_up(gone)
            for partition, epoch in self._ownership.epochs.items():
                if partition not in self.held and not self._stopping:
                    await self._load(partition, epoch)
            await asyncio.sleep(_FOLLOW_S)

    async def settle(self, *, everything: bool = False) -> None:
        """Write what has to be written by now: the changes of alerts, and if it is time for that, all of it."""
        if everything or self._due() or any(held.shard.urgent for held in self.held.values()):
            async with self._writing:
                due = everything or self._due()
                try:
                    await self._write(list(self.held.values()), whole=due)
                except AWAY as error:
                    self._failed(error)
                if due:
                    self._checked_at = self._clock()

    async def stop(self) -> None:
        """Write all, and forget all."""
        self._stopping = True
        await self._give_up(list(self.held.values()))

    def _due(self) -> bool:
        return self._clock() - self._checked_at >= self._checkpoint_s or any(
            held.unsettled >= MOST_UNSETTLED for held in self.held.values()
        )

    async def _load(self, partition: int, epoch: int) -> None:
        owner = f"{self._me}.{next(self._loads)}"
        try:
            async with asyncio.timeout(_COMMIT_S):
                loaded = await self._repository.load(partition, owner)
        except AWAY as error:
            self._failed(error)
            await asyncio.sleep(_RETRY_S)
            return
        self.database_away = False
        if self._ownership.epochs.get(partition) != epoch:
            return
        shard = self._shard(partition)
        shard.restore(self._rules.current.values(), loaded.devices, loaded.alerts, self._now())
        self.held[partition] = Held(partition, epoch, owner, shard, loaded.positions)
        for reader in self._readers.values():
            reader.wake()
        self._log.info("partition.loaded", partition=partition, epoch=epoch, devices=len(loaded.devices))

    async def _give_up(self, gone: list[Held]) -> None:
        async with self._writing:
            try:
                await self._write([held for held in gone if not held.over], whole=True)
            except AWAY as error:
                self._failed(error)
        for held in gone:
            self.void(held)

    async def _write(self, some: list[Held], *, whole: bool) -> None:
        """Write some partitions in one transaction, and with `whole` acknowledge what they have taken."""
        writes, settled = _take(some, whole=whole)
        try:
            lost = await self._commit(writes) if writes else set()
        except BaseException:
            for held in some:  # what is on disk is not known: it has to be read
                self.void(held)
            raise
        for held in some:
            if held.partition in lost and not held.over:  # if it is over, whoever loaded it since may be us
                self._log.warning("partition.lost", partition=held.partition, epoch=held.epoch)
                self.drop(held.partition, held.epoch)
        for held, stream, (delivery, message) in settled:
            if not held.over:
                await self._readers[stream].acknowledge(delivery, message, self.epochs)

    async def _commit(self, writes: Mapping[int, tuple[str, Writes]]) -> set[int]:
        with self._metrics.commit_seconds.time():
            async with asyncio.timeout(_COMMIT_S):
                lost = await self._repository.commit(writes, self._now())
        self.database_away = False
        changes = [change for partition, (_, one) in writes.items() if partition not in lost for change in one.changes]
        self._metrics.wrote(changes, sum(len(one.devices) for _, one in writes.values()))
        if any(change.what in TOLD for change in changes):
            self._said()
        return lost

    def _void(self, held: Held) -> None:
        held.over = True
        if self.held.get(held.partition) is held:
            del self.held[held.partition]
            for reader in self._readers.values():
                reader.begin_again(held.partition)

    def _failed(self, error: Exception) -> None:
        if not self.database_away:
            self._log.warning("database.away", error=type(error).__name__)
        self.database_away = True


def _take(some: list[Held], *, whole: bool) -> tuple[dict[int, tuple[str, Writes]], list[tuple[Held, str, Taken]]]:
    """Take what has to be written of some partitions, and with `whole` what may be acknowledged after that."""
    writes: dict[int, tuple[str, Writes]] = {}
    settled = []
    for held in some:
        if whole:
            if held.shard.dirty:
                positions = {stream: held.positions[stream] for stream in held.moved}
                held.moved.clear()
                writes[held.partition] = held.owner, msgspec.structs.replace(held.shard.take_all(), positions=positions)
            settled += [(held, stream, taken) for stream, taken in held.taken.items()]
            held.taken, held.unsettled = {}, 0
        elif held.shard.urgent:
            writes[held.partition] = held.owner, held.shard.take_urgent()
    return writes, settled
