"""Credentials, authorities, claim keys and brokers' accounts as the API takes and answers them."""

from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from contracts.devices import DEFAULT_PROFILE
from devices_api.broker_rules import device_username, service_username
from devices_api.certificates import MAX_PEM
from devices_api.credentials import LONGEST_SECRET, SHORTEST_PASSWORD, Credential, Kind
from devices_api.times import format_time, parse_time
from devices_api.web.schemas import DeviceId, Next, Profile, Tags, Time

if TYPE_CHECKING:
    from devices_api.accounts import Account
    from devices_api.authorities import Authority
    from devices_api.claims import Claim
    from devices_api.gifts import Gifts

YEAR_S = 366 * 86_400

TimeIn = Annotated[
    int,
    BeforeValidator(lambda given: parse_time(str(given))),
    WithJsonSchema({"type": "string", "examples": ["2027-01-01T00:00:00Z"]}),
]
Label = Annotated[str, Field(max_length=256, description="What people call it")]
Pem = Annotated[
    str, Field(max_length=MAX_PEM, examples=["-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n"])
]
Password = Annotated[str, Field(min_length=SHORTEST_PASSWORD, max_length=LONGEST_SECRET)]
GroupIds = Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(max_length=64)]


def _times(of: object, *names: str) -> dict[str, str | None]:
    return {name: None if (at := getattr(of, name)) is None else format_time(at) for name in names}


class _Window(BaseModel):
    model_config = ConfigDict(extra="forbid")

    not_before: TimeIn | None = Field(default=None, description="From when on it is valid; null: at once")
    expires: TimeIn | None = Field(default=None, description="From when on it is not valid any more; null: never")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.not_before is not None and self.expires is not None and self.not_before >= self.expires:
            raise ValueError("not_before has to be before expires")
        return self


class CredentialIn(_Window):
    """A credential to make. A password or token that is not given is made, and shown in the answer."""

    kind: Kind
    name: Label = ""
    password: Password | None = Field(default=None, description="Of kind password; made at random if not given")
    certificate: Pem | None = Field(default=None, description="Of kind certificate, which needs it")
    authority: str | None = Field(default=None, max_length=32, description="Of kind authority, which needs it: its id")

    @model_validator(mode="after")
    def _what_belongs(self) -> Self:
        given = {name for name in ("password", "certificate", "authority") if getattr(self, name) is not None}
        wanted = {str(self.kind)} & {"certificate", "authority"}
        if given - {"password"} != wanted or ("password" in given and self.kind is not Kind.PASSWORD):
            raise ValueError("kind certificate takes a certificate, authority an authority, password a password")
        return self


class RotationIn(_Window):
    """What takes the place of a credential. Of a certificate, the new one is given."""

    grace: int = Field(default=86_400, ge=0, le=YEAR_S, description="Seconds for which the old one stays valid")
    name: Label | None = Field(default=None, description="That of the old one where none is given")
    password: Password | None = None
    certificate: Pem | None = None


class CredentialOut(BaseModel):
    """A credential, without what is secret in it. `last_used` is up to a minute late."""

    id: str
    device: str
    kind: Kind
    name: str
    username: Annotated[str, Field(description="With which a device has to name it to Mosquitto, and may elsewhere")]
    fingerprint: Annotated[str | None, Field(description="SHA-256 of the certificate, in hex")]
    authority: str | None
    not_before: Time
    expires: Time | None
    revoked: Time | None
    created: Time
    last_used: Time | None

    @classmethod
    def of(cls, credential: Credential, **more: str | None) -> Self:
        """Show a credential."""
        times = _times(credential, "not_before", "expires", "revoked", "created", "last_used")
        names = {name: getattr(credential, name) for name in ("id", "device", "kind", "name", "authority")}
        fingerprint = credential.hash if credential.kind is Kind.CERTIFICATE else None
        username = device_username(credential.device, credential.id)
        return cls(**names, **times, fingerprint=fingerprint, username=username, **more)


class CredentialMade(CredentialOut):
    """A credential that was just made."""

    secret: Annotated[str | None, Field(description="Shown this once; null where there is none, or it was given")]


class CredentialPage(BaseModel):
    """All credentials of a device, newest first."""

    items: list[CredentialOut]
    next: Next = None


class GiftsBody(BaseModel):
    """What a device gets that registers itself."""

    model_config = ConfigDict(extra="forbid")

    profile: Profile = DEFAULT_PROFILE
    groups: GroupIds = []
    tags: Tags = {}

    def content(self) -> "Gifts":
        """Turn it into what is kept."""
        from devices_api.gifts import Gifts  # noqa: PLC0415 - SQLAlchemy is imported after the start

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
        times = _times(authority, "not_before", "expires", "created")
        return cls(**vars(authority) | times | {"gives": _gives(authority.gives)})


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
        return cls(**vars(claim) | _times(claim, "expires", "created") | {"gives": _gives(claim.gives)} | more)


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


class AccountIn(BaseModel):
    """A service's account to make."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=64, pattern="^[A-Za-z0-9_.-]+$", examples=["ingest"])]


class AccountOut(BaseModel):
    """A service's account on the broker. `last_used` is up to a minute late."""

    name: str
    username: Annotated[str, Field(examples=["service/ingest"])]
    created: Time
    last_used: Time | None

    @classmethod
    def of(cls, account: "Account", **more: str) -> Self:
        """Show an account."""
        username = service_username(account.name)
        return cls(name=account.name, username=username, **_times(account, "created", "last_used"), **more)


class AccountMade(AccountOut):
    """An account that was just made."""

    secret: Annotated[str, Field(description="Its MQTT password; shown this once")]


class AccountPage(BaseModel):
    """All accounts, by name."""

    items: list[AccountOut]
    next: Next = None
