"""What a system under load has to tell."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class SubjectError(Exception):
    """The system cannot be measured; the message says why in one line."""


class Subject(Protocol):
    """A broker with what takes its messages into a store. Every method raises SubjectError."""

    name: str
    mqtt_host: str
    mqtt_port: int

    def pids(self) -> Mapping[str, int]:
        """Give the processes that it is made of, by name."""

    async def written(self) -> int:
        """Count the points that were written since it began, quickly; one that was written twice may count twice."""

    async def stored(self, devices: Sequence[str], start: int, end: int) -> int | None:
        """Count the points of `devices` with `start` <= ts < `end` (ns), each once; None if that cannot be told."""

    def store_bytes(self) -> int | None:
        """Say how much its store takes on disk, if that is known."""
