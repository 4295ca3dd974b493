"""What devices_api can be told, by environment variables that begin with DEVICES_API_."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from contracts.broker import BrokerSettings
from contracts.rates import parse_rate
from contracts.settings import STORE, StoreSetting
from contracts.streams import GIB
from devices_api.telemetry.queries import MOST_ROWS


def _known_rate(text: str) -> str:
    parse_rate(text)
    return text


_Rate = Annotated[str, AfterValidator(_known_rate)]
_SCHEMES = ("sqlite+aiosqlite:///", "postgresql+asyncpg://", "postgresql+psycopg://")


def _known_scheme(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(_SCHEMES):
        raise ValueError(f"the URL has to start with one of {', '.join(_SCHEMES)}")
    return url


def _long_enough(key: SecretStr) -> SecretStr:
    if 0 < len(key.get_secret_value()) < 16:  # noqa: PLR2004 - as its description says
        raise ValueError("it has to have at least 16 characters")
    return key


class Settings(BrokerSettings):
    """Settings of devices_api."""

    model_config = SettingsConfigDict(env_prefix="DEVICES_API_")

    port: int = Field(default=8080, ge=0, le=65535, description="Port that the API listens on; 0 takes a free one")
    mqtt_host: str = Field(
        default="", description="MQTT broker; without one desired states and commands are kept and not sent"
    )
    key: SecretStr = Field(min_length=16, description="API key that requests carry, at least 16 characters")
    database_url: Annotated[SecretStr, AfterValidator(_known_scheme)] = Field(
        default=SecretStr("sqlite+aiosqlite:///data/registry.sqlite3"),
        description="SQLAlchemy URL of the registry database",
    )
    store: StoreSetting = Field(
        default="data/timeseries.sqlite3", description=f"The time-series store, which processor writes: {STORE}"
    )
    store_token: SecretStr = Field(default=SecretStr(""), description="Token for that store, where it wants one")
    deadletter_days: float = Field(
        default=30.0, gt=0, le=3650, description="After how many days a dead letter is deleted"
    )
    deadletter_bytes: int = Field(
        default=4 * GIB,
        ge=16 << 20,
        description="Most bytes of dead letters, in the stream server's storage; then the oldest go",
    )
    command_days: float = Field(
        default=90.0, gt=0, le=3650, description="After how many days a command that has ended is deleted"
    )
    broker_key: Annotated[SecretStr, AfterValidator(_long_enough)] = Field(
        default=SecretStr(""),
        description="Key that an MQTT broker carries to ask who may do what, at least 16 characters; "
        "without one it cannot ask",
    )
    broker_cert_login: bool = Field(
        default=False, description="RabbitMQ takes user names from client certificates, and sends no password then"
    )
    dynsec_username: str = Field(
        default="",
        description="Account on the MQTT broker, a Mosquitto, that may use the control topics of its dynamic-security "
        "plugin, which is then kept in step",
    )
    dynsec_password: SecretStr = Field(default=SecretStr(""), description="Password of that account")
    auto_register_limit: int = Field(
        default=10_000, ge=0, description="Devices in the registry from which on unknown ones are not auto-registered"
    )
    query_rows: int = Field(
        default=MOST_ROWS,
        ge=1000,
        description="Most points and windows that one query of many series may read; what would take more is refused",
    )
    key_rate: _Rate = Field(
        default="200:1,6000:60",
        description="Requests of each API key at a replica, CAPACITY:SECONDS; DEVICES_API_KEY is not limited",
    )
    failure_rate: _Rate = Field(
        default="60:60", description="Requests with a wrong key or claim key that may come from one address; as above"
    )
    cors_origins: str = Field(
        default="",
        pattern=r"^(https?://[^/\s*]+(\s+https?://[^/\s*]+)*)?$",
        description="Origins whose pages may ask with a key of theirs, separated by spaces; none where it is empty",
    )
    oidc_issuer: str = Field(
        default="", max_length=2048, description="Identity provider whose tokens are taken, as their claim iss names it"
    )
    oidc_audience: str = Field(
        default="", max_length=2048, description="What their claim aud has to name: this API, as the provider calls it"
    )
    oidc_jwks: str = Field(
        default="",
        validate_default=True,
        description="Where the provider's keys are: an https URL, which may be http on this machine, or a file; "
        "without all three no tokens are taken",
    )
    oidc_scope_claim: str = Field(default="scope", min_length=1, description="Claim with a token's scopes")
    oidc_scope_prefix: str = Field(
        default="sensorium:", description="What precedes ours there, as in sensorium:read; others are passed over"
    )
    oidc_groups_claim: str = Field(
        default="groups", min_length=1, description="Claim with the groups that a token is limited to"
    )
    oidc_everything: bool = Field(
        default=False, description="A token without that claim sees all devices; else it sees none"
    )
    audit_days: float = Field(
        default=400.0, gt=0, le=36500, description="After how many days an entry of the audit log is deleted"
    )
    jobs: int = Field(default=20, ge=1, le=1000, description="Jobs that may wait or run at a time")
    job_bytes: int = Field(
        default=GIB // 2, ge=1 << 20, description="Most bytes of a file that is sent for a job; it is in the database"
    )

    @field_validator("oidc_jwks")
    @classmethod
    def _provider(cls, jwks: str, info: ValidationInfo) -> str:
        given = {"OIDC_ISSUER": info.data.get("oidc_issuer"), "OIDC_AUDIENCE": info.data.get("oidc_audience")}
        given["OIDC_JWKS"] = jwks
        if lacking := [f"DEVICES_API_{name}" for name, value in given.items() if not value]:
            if len(lacking) < len(given):
                raise ValueError(f"issuer, audience and keys go together: {' and '.join(lacking)} not set")
            return jwks
        return _safe_source(jwks)


def _safe_source(jwks: str) -> str:
    if "://" not in jwks:
        return jwks
    url = urlsplit(jwks)
    if url.username is not None or url.password is not None:
        raise ValueError("no name or password may be in it")
    if not url.hostname or url.scheme not in {"https", "http"}:
        raise ValueError("it has to be an https URL or a file")
    if url.scheme == "http" and url.hostname not in {"127.0.0.1", "::1", "localhost"}:
        raise ValueError("keys that came without TLS could be anybody's: it has to be https")
    return jwks
