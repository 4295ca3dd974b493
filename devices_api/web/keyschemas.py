"""API keys as the API takes and answers them."""

from typing import TYPE_CHECKING, Annotated, Self, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from contracts.times import format_time, parse_time
from devices_api.access import Principal, Scope
from devices_api.cursors import encode_cursor
from devices_api.keys.keys import Key, KeyChange
from devices_api.web.schemas import Next, Time

if TYPE_CHECKING:
    from devices_api.access import View


def _not_root(name: str) -> str:
    if name.lower() == "root":
        raise ValueError("root is the key of the service's own configuration")
    return name


Name = Annotated[
    str,
    Field(
        min_length=1,
        max_length=128,
        pattern="^[A-Za-z0-9][A-Za-z0-9 ._@-]*$",
        examples=["dashboard"],
        description="What the audit log calls its changes; no two keys have the same",
    ),
    AfterValidator(_not_root),
]
Scopes = Annotated[list[Scope], Field(min_length=1, max_length=len(Scope), examples=[["read"]])]
Groups = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=64)]],
    Field(min_length=1, max_length=64, examples=[["north"]]),
]
Expires = Annotated[
    int,
    BeforeValidator(lambda given: parse_time(str(given))),
    WithJsonSchema({"type": "string", "examples": ["2026-06-01T00:00:00Z"]}),
]


def _view(groups: list[str] | None) -> "View":
    return None if groups is None else frozenset(groups)


class KeyIn(BaseModel):
    """A key to make."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    scopes: Scopes
    groups: Groups | None = Field(default=None, description="It sees devices in or below these only; null: all")
    expires: Expires | None = Field(default=None, description="From when on it is of no use; null: never")

    def content(self, id_: str, hash_: str, who: Principal, now: int) -> Key:
        """Turn it into what is kept."""
        return Key(id_, self.name, hash_, frozenset(self.scopes), _view(self.groups), now, who.name, self.expires)


class KeyPatch(BaseModel):
    """What to replace of a key; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: Name = ""
    scopes: Scopes = []
    groups: Groups | None = None
    expires: Expires | None = None
    disabled: bool = False

    def content(self) -> KeyChange:
        """Turn it into what is to be changed."""
        change = self.model_dump(exclude_unset=True)
        if "scopes" in change:
            change["scopes"] = frozenset(self.scopes)
        if "groups" in change:
            change["groups"] = _view(self.groups)
        return cast("KeyChange", change)


class KeyOut(BaseModel):
    """A key. `last_used` is up to half a minute late."""

    id: str
    name: str
    scopes: list[Scope]
    groups: list[str] | None
    created: Time
    created_by: str
    expires: Time | None
    last_used: Time | None
    disabled: bool

    @classmethod
    def of(cls, key: Key, text: str = "") -> Self:
        """Show a key, with its text where that is asked for."""
        times = {
            name: None if (at := getattr(key, name)) is None else format_time(at)
            for name in ("created", "expires", "last_used")
        }
        sets = {"scopes": sorted(key.scopes), "groups": None if key.groups is None else sorted(key.groups)}
        return cls(**vars(key) | times | sets | {"key": text})


class KeyMade(KeyOut):
    """A key that was just made, with its text, which is not shown again."""

    key: Annotated[str, Field(examples=["sk_0011223344556677_the-rest-of-it"])]


class KeyPage(BaseModel):
    """Keys by id."""

    items: list[KeyOut]
    next: Next

    @classmethod
    def of(cls, keys: list[Key], limit: int) -> Self:
        """Show the first `limit` of `keys`; there is a next page if there are more."""
        following = encode_cursor("keys", keys[limit - 1].id) if len(keys) > limit else None
        return cls(items=[KeyOut.of(key) for key in keys[:limit]], next=following)


class Me(BaseModel):
    """Who asks."""

    name: str
    scopes: list[Scope]
    groups: Annotated[list[str] | None, Field(description="Those that they are limited to; null: none")]
    expires: Time | None

    @classmethod
    def of(cls, who: Principal) -> Self:
        """Show somebody."""
        groups = None if who.view is None else sorted(who.view)
        expires = None if who.expires is None else format_time(who.expires)
        return cls(name=who.name, scopes=sorted(who.scopes), groups=groups, expires=expires)
