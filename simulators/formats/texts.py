"""Values and times as text, a column at a time."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import repeat

import msgspec

from contracts.readings import Value
from simulators.plan.load import SECOND

_encode = msgspec.json.Encoder().encode
_names = lru_cache(maxsize=4096)(_encode)


def written(column: Sequence[Value | None]) -> list[bytes | None]:
    """Write values as JSON, each in the fewest digits that give it back; NaN and infinities are the tokens of Python.

    None stays None.
    """
    whole = _encode(column)
    if b'"' not in whole:
        texts = whole[1:-1].split(b",") if column else []
        if b"null" not in whole:
            return texts  # type: ignore[return-value]  # a list of more
        return [
            text if text != b"null" else None if value is None else _number(value)  # type: ignore[arg-type]  # no text
            for text, value in zip(texts, column, strict=True)
        ]
    return [None if value is None else _text(value) if isinstance(value, str) else _number(value) for value in column]


def objects(columns: Mapping[str, Sequence[Value | None]], count: int) -> list[bytes]:
    """Write `count` rows as JSON objects; a value that a row leaves out is not in its object."""
    texts = [written(column) for column in columns.values()]
    heads = [_names(name) + b":" for name in columns]
    if not texts or any(None in column for column in texts):
        return [b"{%b}" % b",".join(parts) for parts in fragments(heads, texts, count)]
    template = b"{" + b",".join(head.replace(b"%", b"%%") + b"%b" for head in heads) + b"}"
    return [template % row for row in zip(*texts, strict=True)]


def joined(head: bytes, values: bytes) -> bytes:
    """Write a JSON object whose first member is `head`, and whose others are those of the object `values`."""
    return b"{%b}" % head if values == b"{}" else b"{%b,%b" % (head, values[1:])


def fragments(heads: Sequence[bytes], texts: Sequence[Sequence[bytes | None]], count: int) -> Iterator[list[bytes]]:
    """Give, for each of `count` rows, those of its texts that are there, each behind its head."""
    rows = zip(*texts, strict=True) if texts else repeat((), count)
    return ([head + text for head, text in zip(heads, row, strict=True) if text is not None] for row in rows)


def iso(ts: int, digits: int = 9) -> bytes:
    """Write ns since 1970 as ISO 8601 in UTC without a zone, cut to so many digits of a second."""
    seconds, fraction = divmod(ts, SECOND)
    return b"%b.%b" % (_second(seconds), (b"%09d" % fraction)[:digits]) if digits else _second(seconds)


@lru_cache(maxsize=4096)
def _second(seconds: int) -> bytes:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()


@lru_cache(maxsize=4096)
def _text(value: str) -> bytes:
    return _encode(value)


def _number(value: float) -> bytes:
    return json.dumps(value).encode()
