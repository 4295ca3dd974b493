"""Credentials and services' accounts as the API takes and answers them."""

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from contracts.times import format_time, parse_time
from devices_api.credentials.broker_rules import device_username, service_username
from devices_api.credentials.certificates import MAX_PEM
from devices_api.credentials.credentials import LONGEST_SECRET, SHORTEST_PASSWORD, Credential, Kind
from devices_api.web.schemas import Next, Time

if TYPE_CHECKING:
    from devices_api.credentials.accounts import Account

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


def times(of: object, *names: str) -> dict[str, str | None]:
    """Give times of something as they are shown, by name."""
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
        at = times(credential, "not_before", "expires", "revoked", "created", "last_used")
        names = {name: getattr(credential, name) for name in ("id", "device", "kind", "name", "authority")}
        fingerprint = credential.hash if credential.kind is Kind.CERTIFICATE else None
        username = device_username(credential.device, credential.id)
        return cls(**names, **at, fingerprint=fingerprint, username=username, **more)


class CredentialMade(CredentialOut):
    """A credential that was just made."""

    secret: Annotated[str | None, Field(description="Shown this once; null where there is none, or it was given")]


class CredentialPage(BaseModel):
    """All credentials of a device, newest first."""

    items: list[CredentialOut]
    next: Next = None


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
        return cls(name=account.name, username=username, **times(account, "created", "last_used"), **more)


class AccountMade(AccountOut):
    """An account that was just made."""

    secret: Annotated[str, Field(description="Its MQTT password; shown this once")]


class AccountPage(BaseModel):
    """All accounts, by name."""

    items: list[AccountOut]
    next: Next = None
