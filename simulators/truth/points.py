"""A point that was sent, and what is noted of its message, as arrays hold them. Pure."""

import numpy as np
from numpy.typing import NDArray

from simulators.models.model import Int64s

POINT = np.dtype(
    [
        ("device", "<u4"),
        ("metric", "<u4"),
        ("ts", "<i8"),
        ("bits", "<u8"),
        ("message", "<i8"),
        ("kind", "u1"),
        ("role", "u1"),
    ]
)
"""A point that was sent: `device` and `metric` are places in the ledger's names, `message` its number in the file.

`ts` of one that is stored when it arrives is the moment when its message was due.
"""
Rows = NDArray[np.void]
"""An array of POINT."""

MUST, MAY, MUST_NOT, ARRIVES = 1, 2, 4, 8
"""Roles: it has to be there, it may be (its message was not acknowledged), or it must not; and when it is stored."""

ACKED, ENTERED, MISSING, FORBIDDEN, LETTER, BARE = 0x04, 0x08, 0x10, 0x20, 0x40, 0x80
"""What is noted of messages: besides these, a point of it is missing, or is there and must not be, or a dead letter.

BARE are those that carry no reading, such as what devices say when they come; they are not counted.
"""

EXPECTED = 0x03
"""The bits of their Expect."""


def key_of(sums: NDArray[np.uint32], lengths: Int64s) -> NDArray[np.uint64]:
    """Join the checksum and the length of payloads, by which they are known again."""
    return (sums.astype(np.uint64) << np.uint64(32)) | lengths.astype(np.uint64)
