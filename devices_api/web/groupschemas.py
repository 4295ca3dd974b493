"""What the API takes and answers about groups."""

from typing import Annotated, cast

from pydantic import BaseModel, ConfigDict, Field

from contracts.times import format_time
from devices_api.access import View
from devices_api.cursors import encode_cursor
from devices_api.registry.groups import Group, GroupChange, NewGroup, shown_path
from devices_api.web.schemas import Name, Next, Time
from devices_api.web.textschemas import GroupId


class GroupIn(BaseModel):
    """A group to make."""

    model_config = ConfigDict(extra="forbid")

    id: GroupId
    name: Name | None = Field(default=None, description="What people call it; the id where none is given")
    parent: GroupId | None = Field(default=None, description="The group right above it; null for the top")

    def content(self) -> NewGroup:
        """Turn it into what is kept."""
        return NewGroup(self.id, self.name or self.id, self.parent)


class GroupPatch(BaseModel):
    """What to replace of a group; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: Name = ""
    parent: GroupId | None = Field(default=None, description="Moves it, with all that is below it; null to the top")

    def content(self) -> GroupChange:
        """Turn it into what is to be changed."""
        return cast("GroupChange", self.model_dump(exclude_unset=True))


class GroupOut(BaseModel):
    """A group, where it stands, and how many devices there are."""

    id: str
    name: str
    parent: str | None
    path: Annotated[list[str], Field(description="Ids from the top down to it, as far as the key sees them")]
    devices: Annotated[int, Field(description="Devices that are in it")]
    devices_below: Annotated[int, Field(description="Devices that are in it or in a group below it, each once")]
    created: Time
    updated: Time
    version: Annotated[int, Field(description="One more with each change of it; the ETag of this")]

    @staticmethod
    def of(group: Group, view: View) -> "GroupOut":
        """Show a group to somebody who sees `view`."""
        path = shown_path(group.path, view)
        return GroupOut.model_construct(
            id=group.id,
            name=group.name,
            parent=path[-2] if len(path) > 1 else None,
            path=list(path),
            devices=group.direct,
            devices_below=group.below,
            created=format_time(group.created),
            updated=format_time(group.updated),
            version=group.version,
        )


class GroupPage(BaseModel):
    """Groups, each followed by what is below it."""

    items: list[GroupOut]
    next: Next

    @staticmethod
    def of(groups: list[Group], limit: int, view: View) -> "GroupPage":
        """Show the first `limit` of `groups`; there is a next page if there are more."""
        shown = groups[:limit]
        # Whoever has a cursor can read it.
        last = "/".join(shown_path(shown[-1].path, view))
        following = encode_cursor("groups", last) if len(groups) > limit else None
        return GroupPage.model_construct(items=[GroupOut.of(group, view) for group in shown], next=following)
