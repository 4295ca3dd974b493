"""What a ledger promises to those who send."""

from collections.abc import Sequence
from typing import Protocol

from simulators.plan.batch import Batch


class LedgerError(Exception):
    """The ledger cannot be written or read: nothing that is sent now could be proved."""


class Ledger(Protocol):
    """Keeps what was sent. Call it from one thread.

    Once the file cannot be written `batch` raises LedgerError, so that nothing more is sent; the others never do.

    Entries reach the file in the order of the calls, within some 20 ms: what the file says was acknowledged, it has.
    """

    @property
    def room(self) -> bool:
        """Whether another batch may be recorded now."""

    def batch(self, batch: Batch) -> None:
        """Enter messages, before any of them is published."""

    def sent(self, numbers: Sequence[int], at: int) -> None:
        """Enter that messages were handed to the operating system at `at` (ns since 1970)."""

    def acked(self, numbers: Sequence[int], at: int) -> None:
        """Enter the broker's acknowledgements."""

    def event(self, kind: str, about: str, at: int) -> None:
        """Enter something that happened, such as a phase or a failure, for whoever reads the ledger."""

    def close(self) -> None:
        """Write what is queued and release the file. A second time does nothing."""
