"""Conventions with a message for each value: the topic says whose it is and what, the payload is nothing else."""

from collections.abc import Callable, Mapping, Sequence

from contracts.readings import Value
from simulators.formats.texts import written
from simulators.formats.wire import Encoded
from simulators.plan.devices import Device


def singly(
    devices: Sequence[Device],
    prefix: Callable[[Device], bytes],
    texts: Mapping[str, tuple[bytes, Sequence[bytes | None]]],
    *,
    retain: bool = False,
) -> Encoded:
    """Write readings metric by metric: `texts` gives the end of its topic and its payloads, one a row, None for none.

    `prefix` gives the beginning of a device's topics.
    """
    topics, payloads, rows = [], [], []
    metrics: list[tuple[str, ...]] = []
    for row, device in enumerate(devices):
        begins = prefix(device)
        for metric, (ends, column) in texts.items():
            text = column[row]
            if text is not None:
                topics.append(begins + ends)
                payloads.append(text)
                rows.append(row)
                metrics.append((metric,))
    return Encoded(topics, payloads, rows, metrics, set(range(len(rows))) if retain else set())


def bare(column: Sequence[Value | None], true: bytes = b"true", false: bytes = b"false") -> list[bytes | None]:
    """Write values as plain text: numbers in the fewest digits that give them back, booleans as one of two words."""
    return [
        true if value is True else false if value is False else value.encode() if isinstance(value, str) else text
        for value, text in zip(column, written(column), strict=True)
    ]
