"""Clients of an API for `make bench-api`, in a process of their own: each asks as soon as it has been answered.

A client library would take as long as the service. So this writes requests and reads answers itself, over connections
that are kept. It reads one JSON object (see `Plan`) from its input, since a key does not belong among the arguments,
and prints another one (see `Told`).
"""

import asyncio
import itertools
import sys
import time
from collections import Counter

import msgspec

from deploy.local.view import percentile

_LONGEST_HEAD = 1 << 20
_WAITS_S = 60.0


class Plan(msgspec.Struct):
    """What to ask: `paths` in turn, by so many clients, for so many seconds; the first answers do not count."""

    host: str
    port: int
    key: str
    paths: list[str]
    clients: int
    seconds: float
    warm: int = 20


class Told(msgspec.Struct):
    """What came of it: how much was asked in all, latencies in ms of what counts, and errors by what they were."""

    asked: int
    per_s: float
    p50_ms: float
    p99_ms: float
    most_ms: float
    bytes_each: int
    errors: dict[str, int]


class _Client:
    """One connection."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, path: str) -> tuple[int, int]:
        """Give an answer's status and its body's length."""
        if self._reader is None or self._writer is None:
            opened = asyncio.open_connection(self._plan.host, self._plan.port, limit=_LONGEST_HEAD)
            self._reader, self._writer = await opened
        head = f"GET {path} HTTP/1.1\r\nHost: {self._plan.host}\r\nAuthorization: Bearer {self._plan.key}\r\n\r\n"
        self._writer.write(head.encode())
        first, *fields = (await self._reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        lengths = [int(field[15:]) for field in fields if field.lower().startswith(b"content-length:")]
        await self._reader.readexactly(lengths[0])
        return int(first.split()[1]), lengths[0]

    def close(self) -> None:
        """Close it; the next question opens another one."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


class _Run:
    """All clients of a plan, and what they have heard."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._paths = plan, itertools.cycle(plan.paths)
        self._latencies: list[float] = []
        self._bytes = self._asked = 0
        self._errors: Counter[str] = Counter()

    async def told(self) -> Told:
        """Ask for as long as the plan says."""
        began = time.monotonic()
        clients = [_Client(self._plan) for _ in range(self._plan.clients)]
        for path in itertools.islice(self._paths, self._plan.warm):
            await self._ask(clients[0], path)
            if time.monotonic() > began + self._plan.seconds:
                break
        self._latencies.clear()
        self._bytes = 0
        began = time.monotonic()
        await asyncio.gather(*(self._keep_asking(client, began + self._plan.seconds) for client in clients))
        took = time.monotonic() - began
        p50, p99 = (percentile(self._latencies, part) or 0.0 for part in (0.5, 0.99))
        return Told(
            asked=self._asked,
            per_s=round(len(self._latencies) / took, 1),
            p50_ms=round(1000 * p50, 2),
            p99_ms=round(1000 * p99, 2),
            most_ms=round(1000 * max(self._latencies, default=0.0), 2),
            bytes_each=self._bytes // max(1, len(self._latencies)),
            errors=dict(self._errors),
        )

    async def _keep_asking(self, client: _Client, until: float) -> None:
        while time.monotonic() < until:
            await self._ask(client, next(self._paths))
        client.close()

    async def _ask(self, client: _Client, path: str) -> None:
        began = time.monotonic()
        self._asked += 1
        try:
            async with asyncio.timeout(_WAITS_S):
                status, length = await client.ask(path)
        except (OSError, EOFError, TimeoutError, IndexError, ValueError) as error:
            client.close()
            self._errors[type(error).__name__] += 1
            return
        if status != 200:
            self._errors[str(status)] += 1
            return
        self._latencies.append(time.monotonic() - began)
        self._bytes += length


def main() -> None:
    """Read the plan, ask, tell."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    print(msgspec.json.encode(asyncio.run(_Run(plan).told())).decode())


if __name__ == "__main__":
    main()
