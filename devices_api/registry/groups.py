"""A group of devices as the registry holds it, and where it may stand in the tree."""

from dataclasses import dataclass
from typing import TypedDict

from devices_api.access import View

MOST_GROUPS = 10_000
DEEPEST = 15
"""Levels of the tree."""


@dataclass(frozen=True)
class NewGroup:
    """A group to make, below `parent` or at the top."""

    id: str
    name: str
    parent: str | None = None


@dataclass(frozen=True)
class Group:
    """A group. Times in ns since 1970 UTC.

    `path` are the ids from the top down to it. `direct` counts the devices that are in it, `below` those that are in
    it or in a group below it, each once; deleted ones do not count. Each change makes a `version`; what happens to the
    groups above it or to its devices does not.
    """

    id: str
    name: str
    path: tuple[str, ...]
    created: int
    updated: int
    version: int
    direct: int = 0
    below: int = 0

    @property
    def parent(self) -> str | None:
        """The group right above it."""
        return self.path[-2] if len(self.path) > 1 else None


class GroupChange(TypedDict, total=False):
    """What a change of a group replaces; `parent` None moves it to the top."""

    name: str
    parent: str | None


def path_of(text: str) -> tuple[str, ...]:
    """Read a path as the database has it: `/a/b/`."""
    return tuple(text.strip("/").split("/"))


def shown_path(path: tuple[str, ...], view: View) -> tuple[str, ...]:
    """Leave out of a path what stands above the topmost group that `view` shows."""
    if view is None:
        return path
    first = next((n for n, id_ in enumerate(path) if id_ in view), len(path) - 1)
    return path[first:]
