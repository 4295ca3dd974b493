"""What can go wrong here."""


class UnavailableError(Exception):
    """Something the answer needs is away for now: `what` is its name, as in /readyz."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not available now")
        self.what = what


class TooMuchError(Exception):
    """A query would take too long or return too much; the message says what to narrow."""


class ExistsError(Exception):
    """A device with this id is registered already."""


class InUseError(Exception):
    """A device names this profile."""


class FilterError(ValueError):
    """A filter that cannot be read; says where, counting characters from 1, and what was expected."""
