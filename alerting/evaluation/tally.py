"""What evaluation has counted."""

import msgspec


class Tally(msgspec.Struct):
    """How many (rule, reading or window) pairs there were since the last look.

    `evaluated` were judged, `stale` of them too old to fire. Not judged were those that came `late`, and those of which
    the rule could make nothing: they say nothing to it (`says_nothing`), or it failed on them (`failed`). `forgotten`
    are devices of which nothing is kept any more, `unreadable` those whose row could not be read.
    """

    evaluated: int = 0
    stale: int = 0
    late: int = 0
    says_nothing: int = 0
    failed: int = 0
    forgotten: int = 0
    unreadable: int = 0

    def taken(self) -> "Tally":
        """Give the counts, and count from zero."""
        counts = msgspec.structs.replace(self)
        for field in self.__struct_fields__:
            setattr(self, field, 0)
        return counts
