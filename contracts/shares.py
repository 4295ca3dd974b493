"""Which partitions each of several processes should own. Pure: who has the same members comes to the same."""

import zlib
from collections.abc import Collection


def quota(me: str, members: Collection[str], partitions: int) -> int:
    """How many partitions `me` should own; over all `members`, of which it is one, they sum up to `partitions`."""
    each, rest = divmod(partitions, len(members))
    return each + (sorted(members).index(me) < rest)


def preference(me: str, partitions: int) -> list[int]:
    """All partitions, those that `me` should rather own first: an order of its own, so that few want the same one."""
    return sorted(range(partitions), key=lambda partition: (zlib.crc32(f"{me} {partition}".encode()), partition))
