"""Commands on their way: sent when the device and the broker are there, and ended when their time is over."""

import asyncio
from collections.abc import Callable, Sequence

from contracts import topics
from contracts.deadletters import Reason
from contracts.logs import Log
from contracts.mqtt import Publisher
from devices_api.metrics import Metrics
from devices_api.rounds import Rounds
from devices_api.twins.command_repository import Commands, Heard, UnknownCommandError
from devices_api.twins.commands import Command, message, read_answer
from devices_api.twins.uplink import RefusedError, Told

AT_ONCE = 128
"""Commands sent, or ended, at a time."""

_POLL_S = 0.5
_DROP_EVERY_NS = 3_600_000_000_000
_DAY_NS = 86_400_000_000_000


class Commander:
    """Sends what is due and ends what is overdue, until `finish`.

    A command is sent by one replica. Where that dies before it has noted that the broker has it, another sends it
    again: the device sees the same id twice. Ended commands are dropped after `days`.
    """

    def __init__(
        self,
        commands: Commands,
        broker: Publisher,
        metrics: Metrics,
        log: Log,
        *,
        now: Callable[[], int],
        days: float,
    ) -> None:
        self._commands, self._broker, self._metrics, self._log, self._now = commands, broker, metrics, log, now
        self._keep_ns = int(days * _DAY_NS)
        self._drop_at = 0
        self._rounds = Rounds(_POLL_S, "commands.behind", log)

    def wake(self) -> None:
        """Tell of a change, so that commands are sent at once."""
        self._rounds.wake()

    def finish(self) -> None:
        """Let `run` return after the commands in flight."""
        self._rounds.finish()

    async def run(self) -> None:
        """Work until `finish`."""
        await self._rounds.run(self._round)

    async def _round(self) -> None:
        while await self._some() and not self._rounds.stopping:
            pass

    async def _some(self) -> bool:
        """Do some of what there is to do; says whether there may be more."""
        now = self._now()
        ended = await self._commands.end_overdue(now, AT_ONCE)
        for state in ended:
            self._metrics.commands.labels(state).inc()
        dropped = 0
        if now >= self._drop_at:
            dropped = await self._commands.drop(now - self._keep_ns, AT_ONCE)
            self._drop_at = now if dropped == AT_ONCE else now + _DROP_EVERY_NS
        taken = await self._commands.take_due(now, AT_ONCE) if self._broker.up else []
        if taken:
            await self._send(taken)
        return AT_ONCE in (len(ended), len(taken), dropped)

    async def _send(self, taken: Sequence[Command]) -> None:
        results = await asyncio.gather(*(self._publish(item) for item in taken), return_exceptions=True)
        done = [item.id for item, result in zip(taken, results, strict=True) if result is None]
        failed = [item.id for item, result in zip(taken, results, strict=True) if result is not None]
        await self._commands.sent(done, failed, self._now())
        self._metrics.commands.labels("sent").inc(len(done))
        for result in results:
            if result is not None:
                raise result

    async def _publish(self, item: Command) -> None:
        await self._broker.publish(topics.command(item.device, item.id), message(item))


class AnswerReader:
    """Handles `response`: what devices say of the commands that they were given."""

    def __init__(self, commands: Commands, metrics: Metrics) -> None:
        self._commands, self._metrics = commands, metrics

    async def take(self, told: Sequence[Told]) -> None:
        """Note what is answered; see uplink.Handler."""
        heard = []
        for item in told:
            uplink = item.uplink
            try:
                answer = read_answer(uplink.payload)
            except ValueError as error:
                raise RefusedError(Reason.MALFORMED, str(error)) from error
            heard.append(Heard(uplink.device, topics.named_in(uplink.topic), answer, uplink.received))
        try:
            reached = await self._commands.take_answers(heard)
        except UnknownCommandError as error:
            raise RefusedError(Reason.BAD_VALUE, "the device was not given this command") from error
        for state in reached:
            self._metrics.commands.labels(state).inc()
        self._metrics.late_answers.inc(len(told) - len(reached))
