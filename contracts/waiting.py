"""What of a partition has been read and is not handed out yet."""

from collections.abc import Sequence

from nats.aio.msg import Msg

_MUCH = 1 << 20
"""Bytes that wait from which on a partition lags: ten times what live devices send in a rest, or more."""


class Waiting:
    """Messages of one partition, in order; with `ahead` of them, or if it lags, no more should be added."""

    def __init__(self, ahead: int) -> None:
        self._ahead = ahead
        self._messages: list[Msg] = []
        self._bytes = 0
        self.lags = False
        """Whether more came than live devices send, until all of it is handed out."""

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def much(self) -> bool:
        """Whether to hand some out before more is read."""
        return self.lags or len(self._messages) >= self._ahead

    def add(self, messages: Sequence[Msg]) -> None:
        """Let the next messages wait."""
        self._messages += messages
        self._bytes += sum(len(message.data) for message in messages)
        self.lags = self.lags or self._bytes > _MUCH

    def take(self, most: int | None) -> list[Msg]:
        """Hand out what waits, in order; if it lags, messages of about `most` bytes."""
        taken, self._messages = self._messages, []
        if self.lags and most is not None:
            taken, self._messages = divide_bytes(taken, most)
        self._bytes = sum(len(message.data) for message in self._messages)
        self.lags = self.lags and bool(self._messages)
        return taken


def divide_bytes(messages: list[Msg], most: int) -> tuple[list[Msg], list[Msg]]:
    """Divide where the first part, of at least one message, would become larger than `most` bytes."""
    size = 0
    for number, message in enumerate(messages):
        size += len(message.data)
        if number and size > most:
            return messages[:number], messages[number:]
    return messages, []
