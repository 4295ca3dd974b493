"""Claim keys, authorities and new devices as the API takes and answers them."""

from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from contracts.devices import DEFAULT_PROFILE
from devices_api.credentials.credentials import LONGEST_SECRET, Kind
from devices_api.web.credentialschemas import Label, Pem, TimeIn, times
from devices_api.web.schemas import DeviceId, Next, Profile, Tags, Time

if TYPE_CHECKING:
    from devices_api.credentials.authorities import Authority
    from devices_api.credentials.claims import Claim
    from devices_api.credentials.gifts import Gifts

GroupIds = Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(max_length=64)]


class GiftsBody(BaseModel):
    """What a device gets that registers itself."""

    model_config = ConfigDict(extra="forbid")

    profile: Profile = DEFAULT_PROFILE
    groups: GroupIds = []
    tags: Tags = {}

    def content(self) -> "Gifts":
        """Turn it into what is kept."""
        from devices_api.credentials.gifts import Gifts  # noqa: PLC0415 - SQLAlchemy is imported after the start

        return Gifts(self.profile, tuple(self.groups), self.tags)


def _gives(gifts: "Gifts") -> GiftsBody:
    return GiftsBody(profile=gifts.profile, groups=list(gifts.groups), tags=gifts.tags)


class AuthorityIn(BaseModel):
    """An authority to register, by its certificate."""

    model_config = ConfigDict(extra="forbid")

    name: Label = ""
    certificate: Pem
    auto_register: bool = Field(default=False, description="Register a device at its first login")
    gives: GiftsBody = GiftsBody()


class AuthorityPatch(BaseModel):
    """What to replace of an authority; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: Label = ""
    enabled: bool = True
    auto_register: bool = False
    gives: GiftsBody = GiftsBody()

    def content(self) -> dict[str, Any]:
        """Turn it into what is to be changed."""
        change = self.model_dump(exclude_unset=True)
        return change | ({"gives": self.gives.content()} if "gives" in change else {})


class AuthorityOut(BaseModel):
    """A registered authority; `not_before` and `expires` are its certificate's."""

    id: str
    name: str
    fingerprint: str
    enabled: bool
    auto_register: bool
    gives: GiftsBody
    not_before: Time
    expires: Time
    created: Time

    @classmethod
    def of(cls, authority: "Authority") -> Self:
        """Show an authority."""
        of_certificate = times(authority, "not_before", "expires", "created")
        return cls(**vars(authority) | of_certificate | {"gives": _gives(authority.gives)})


class AuthorityPage(BaseModel):
    """All authorities, by id."""

    items: list[AuthorityOut]
    next: Next = None


def _few_stars(pattern: str) -> str:
    if pattern.count("*") > 4:  # noqa: PLR2004 - each makes a comparison longer
        raise ValueError("a pattern has at most four *")
    return pattern


class ClaimIn(BaseModel):
    """A claim key to make; one that is not given is made, and shown in the answer."""

    model_config = ConfigDict(extra="forbid")

    name: Label = ""
    key: Annotated[str, Field(min_length=16, max_length=LONGEST_SECRET)] | None = None
    kind: Annotated[Kind, Field(description="What devices get: a token, or a password")] = Kind.TOKEN
    most: int = Field(default=1, ge=1, le=1_000_000, description="How many devices may come by it")
    pattern: Annotated[str, Field(min_length=1, max_length=256, examples=["pump-*"]), AfterValidator(_few_stars)] = (
        Field(default="*", description="What their ids have to match; * is any text")
    )
    expires: TimeIn | None = None
    gives: GiftsBody = GiftsBody()

    @model_validator(mode="after")
    def _secret_kind(self) -> Self:
        if self.kind not in (Kind.TOKEN, Kind.PASSWORD):
            raise ValueError("kind has to be token or password")
        return self


class ClaimPatch(BaseModel):
    """What to replace of a claim key; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: Label = ""
    most: int = Field(default=1, ge=0, le=1_000_000)
    expires: TimeIn | None = None
    enabled: bool = True


class ClaimOut(BaseModel):
    """A claim key, without the key; `used` is how many devices have come by it."""

    id: str
    name: str
    kind: Kind
    most: int
    used: int
    pattern: str
    expires: Time | None
    enabled: bool
    gives: GiftsBody
    created: Time

    @classmethod
    def of(cls, claim: "Claim", **more: str | None) -> Self:
        """Show a claim key."""
        return cls(**vars(claim) | times(claim, "expires", "created") | {"gives": _gives(claim.gives)} | more)


class ClaimMade(ClaimOut):
    """A claim key that was just made."""

    key: Annotated[str | None, Field(description="Shown this once; null where it was given")]


class ClaimPage(BaseModel):
    """All claim keys, newest first."""

    items: list[ClaimOut]
    next: Next = None


class ProvisionIn(BaseModel):
    """A device that wants to be one."""

    model_config = ConfigDict(extra="forbid")

    key: Annotated[str, Field(min_length=1, max_length=LONGEST_SECRET, description="A claim key")]
    id: DeviceId
    facts: Annotated[
        dict[Annotated[str, Field(max_length=256)], Annotated[str, Field(max_length=1024)]],
        Field(max_length=50, examples=[{"firmware": "2.1.0"}]),
    ] = {}


class ProvisionOut(BaseModel):
    """What the new device has to know. The secret is its MQTT password, and is shown this once."""

    device: str
    credential: str
    username: str
    secret: str
