"""What can go wrong here."""


class UnavailableError(Exception):
    """Something the answer needs is away for now: `what` is its name, as in /readyz."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not available now")
        self.what = what


class TooMuchError(Exception):
    """A query would take too long or return too much; the message says what to narrow."""


class ExistsError(Exception):
    """Something with this id is there already; `deleted`: it is a device that can be restored."""

    def __init__(self, id_: str, *, deleted: bool = False) -> None:
        super().__init__(id_)
        self.deleted = deleted


class UnknownGroupError(Exception):
    """There is no group with this id, or whoever asks may not see it."""


class TreeError(Exception):
    """The tree of groups cannot be as it would be then; the message says why."""


class NotEmptyError(Exception):
    """There are groups or devices in this group, maybe such as are deleted and can be restored."""


class OutOfSightError(Exception):
    """Somebody who is limited to groups would not see afterwards what they make or change."""


class InUseError(Exception):
    """A device names this profile, maybe one that is deleted and can be restored."""


class FilterError(ValueError):
    """A filter that cannot be read; says where, counting characters from 1, and what was expected."""
