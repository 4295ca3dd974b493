"""The messages of chosen rows."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b

from simulators.faults.injector import Draft
from simulators.formats.wire import Encoded


def messages(rows: Sequence[int], draft: Draft, encoded: Encoded) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Give row, place and metrics of each message that carries something of these rows."""
    every = tuple(draft.columns)
    if encoded.rows is None:
        for row in rows:
            if metrics := encoded.metrics[row] if encoded.metrics is not None else every:
                yield row, row, metrics
        return
    wanted = set(rows)
    for place, row in enumerate(encoded.rows):
        if row in wanted and (metrics := encoded.metrics[place] if encoded.metrics is not None else every):
            yield row, place, metrics


def token(draft: Draft, row: int, place: int, use: str) -> bytes:
    """Give 16 hex digits that no other message has, and that are the same whenever it is made."""
    whose = f"{use}/{draft.devices[row].number}/{draft.turns[row]}/{place - row}"
    return blake2b(whose.encode(), digest_size=8).hexdigest().encode()


def label(draft: Draft, rows: Sequence[int], kind: str) -> None:
    """Note what is wrong with rows; of several faults all are named."""
    for row in rows:
        draft.faults[row] = f"{draft.faults[row]}+{kind}" if draft.faults[row] else kind
