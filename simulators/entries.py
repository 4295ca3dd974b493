"""Reading a ledger, also one that is being written."""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec

from contracts.readings import Value
from simulators.ledger import About, LedgerError
from simulators.payloads import payload

_decode = msgspec.json.Decoder(dict[str, Value]).decode

_MESSAGES = """
SELECT ts, "values", fault, payload, published, acked FROM message WHERE run = ? AND device = ? ORDER BY ts
"""


@dataclass(frozen=True)
class Entry:
    """One message as it was sent. Times in ns; `acked` is None for one that the broker did not acknowledge."""

    device: str
    ts: int
    values: dict[str, Value]
    fault: str
    payload: bytes
    published: int
    acked: int | None


@dataclass(frozen=True)
class Part:
    """What one device sent in one run of the fleet."""

    run: int
    device: str


@dataclass(frozen=True)
class Totals:
    """Counts of messages in a ledger."""

    published: int
    acked: int
    malformed: int


class Entries:
    """An open ledger. Raises LedgerError if there is none at `path`."""

    def __init__(self, path: Path) -> None:
        try:
            self._database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10.0)
            self._database.execute("SELECT 1 FROM message LIMIT 1")
        except sqlite3.Error as error:
            raise LedgerError(f"cannot read {path} as ledger: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def totals(self) -> Totals:
        """Count all messages."""
        query = "SELECT count(*), count(acked), count(nullif(fault, '')) FROM message"
        return Totals(*self._database.execute(query).fetchone())

    def runs(self) -> dict[int, About]:
        """Give what each run was told, by its number."""
        rows = self._database.execute("SELECT id, about FROM run ORDER BY id")
        return {run: msgspec.json.decode(about, type=About) for run, about in rows}

    def parts(self) -> list[Part]:
        """List who sent anything, and in which run."""
        rows = self._database.execute("SELECT DISTINCT run, device FROM message ORDER BY run, device")
        return [Part(*row) for row in rows]

    def of(self, part: Part) -> Iterator[Entry]:
        """Give the messages of one device in one run, by time."""
        with contextlib.closing(self._database.execute(_MESSAGES, (part.run, part.device))) as rows:
            for ts, text, fault, body, published, acked in rows:
                good = text is not None
                values = _decode(text) if good else {}
                yield Entry(
                    part.device, ts, values, fault, payload(ts, text.encode()) if good else body, published, acked
                )
