"""Who listens to devices' connections in tests, and how those are made, by both clients."""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence

from contracts import logs
from simulators.connections.clients import CLIENTS
from simulators.connections.outlet import Connect, Line, Outlet
from simulators.connections.parties import Broker, Login, Options


class Ear:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.connections, self.losses = Counter[Outlet](), list[str]()
        self.sent_at, self.acked_at = dict[int, int](), dict[int, int]()
        self.heard = list[tuple[str, bytes]]()

    def connected(self, outlet: Outlet) -> None:
        self.connections[outlet] += 1

    def lost(self, outlet: Outlet, reason: str) -> None:
        del outlet
        self.losses.append(reason)

    def sent(self, numbers: Sequence[int], at: int) -> None:
        assert self.sent_at.keys().isdisjoint(numbers)
        self.sent_at.update(dict.fromkeys(numbers, at))

    def acked(self, numbers: Sequence[int], at: int) -> None:
        assert self.sent_at.keys() >= set(numbers)
        assert self.acked_at.keys().isdisjoint(numbers)
        self.acked_at.update(dict.fromkeys(numbers, at))

    def received(self, outlet: Outlet, topic: str, payload: bytes) -> None:
        del outlet
        self.heard.append((topic, payload))

    def numbers(self) -> list[int]:
        """Give what was heard, each at its first time."""
        return list(dict.fromkeys(json.loads(payload) for _, payload in self.heard))


def connecting(
    broker: Broker, kind: str = "native", login: Callable[[Line], Login | None] = lambda _: None, **options: int
) -> Connect:
    return CLIENTS[kind](
        broker,
        login=login,
        now=time.time_ns,  # noqa: TID251 - as the composition root does
        rng=random.Random(1),
        log=logs.quiet(),
        options=Options(**options),
    )
