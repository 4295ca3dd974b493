"""A key-value bucket in memory that compares and sets as the stream server does."""

from contracts.lease import AwayError


class FakeBucket:
    """`away`: does and says nothing; `deaf`: does what is asked, and the answer is lost."""

    def __init__(self) -> None:
        self.entries: dict[str, tuple[bytes, int]] = {}
        self._sequence = 0
        self.away = self.deaf = False

    async def read(self, key: str) -> tuple[bytes, int] | None:
        self._reach()
        return self.entries.get(key)

    async def write(self, key: str, value: bytes, last: int) -> int | None:
        self._reach()
        if self.entries.get(key, (b"", 0))[1] != last:
            return None
        self._sequence += 1
        self.entries[key] = value, self._sequence
        if self.deaf:
            raise AwayError
        return self._sequence

    async def keys(self, first: str) -> list[str]:
        self._reach()
        return [key for key in self.entries if key.startswith(f"{first}.")]

    async def forget(self, key: str, revision: int) -> None:
        self._reach()
        if key in self.entries and self.entries[key][1] <= revision:
            del self.entries[key]

    def _reach(self) -> None:
        if self.away:
            raise AwayError
