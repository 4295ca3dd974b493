"""Versions that a change is meant for, so that nobody overwrites what they have not seen. Pure."""

from collections.abc import Container


class StaleError(Exception):
    """What was to be changed is at another `version` than the one that was named; 0 if it is not there."""

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version


Match = Container[int] | None
"""The versions that something may be at for a change to be done; None: any."""


def check(version: int, match: Match) -> None:
    """Raise StaleError if `version` is none of those that a change was meant for."""
    if match is not None and version not in match:
        raise StaleError(version)
