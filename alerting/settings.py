"""What alerting can be told, by environment variables that begin with ALERTING_."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from alerting.notify.addresses import url_problem
from contracts.broker import BrokerSettings

_SCHEMES = ("sqlite+aiosqlite:///", "postgresql+asyncpg://", "postgresql+psycopg://")


def _known_scheme(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(_SCHEMES):
        raise ValueError(f"the URL has to start with one of {', '.join(_SCHEMES)}")
    return url


def _webhook(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    if text and (problem := url_problem(text)):
        raise ValueError(f"the URL {problem}")
    return url


def _link(url: str) -> str:
    if url and (problem := url_problem(url)):
        raise ValueError(f"the URL {problem}")
    return url


def _plain_url(url: str) -> str:
    found = urlsplit(url)
    if url and (found.scheme not in ("http", "https") or not found.hostname or found.query or "@" in found.netloc):
        raise ValueError("the URL has to be like http://127.0.0.1:8080, without a name, a password or a query in it")
    return url.rstrip("/")


class Settings(BrokerSettings):
    """Settings of alerting."""

    model_config = SettingsConfigDict(env_prefix="ALERTING_")

    port: int = Field(default=8081, ge=0, le=65535, description="Port that the API listens on; 0 takes a free one")
    key: SecretStr = Field(min_length=16, description="API key that requests carry, at least 16 characters")
    database_url: Annotated[SecretStr, AfterValidator(_known_scheme)] = Field(
        default=SecretStr("sqlite+aiosqlite:///data/alerting.sqlite3"),
        description="SQLAlchemy URL of the database of rules, alerts and notifications",
    )
    mqtt_host: str = Field(default="", description="MQTT broker for receivers of the type mqtt; empty for none")
    webhook_url: Annotated[SecretStr, AfterValidator(_webhook)] = Field(
        default=SecretStr(""), description="URL of the built-in receiver `default`; empty for none"
    )
    webhook_timeout_seconds: float = Field(
        default=10.0,
        gt=0,
        le=120,
        description="Longest time for one try to deliver a notification, of every type",
    )
    webhook_give_up_seconds: float = Field(
        default=259_200.0, gt=0, description="Age at which a notification that was not taken is given up"
    )
    allow_private_webhooks: bool = Field(
        default=False,
        description="Whether receivers may be at loopback, private and other addresses that are not public",
    )
    allow_apprise: bool = Field(
        default=False,
        description="Whether receivers may be of the type apprise, which can connect to addresses that nobody checks",
    )
    public_url: Annotated[str, AfterValidator(_link)] = Field(
        default="", description="Where people reach this API, for links in notifications; empty for no links"
    )
    devices_api_url: Annotated[str, AfterValidator(_plain_url)] = Field(
        default="",
        description="Address of devices_api, like http://127.0.0.1:8080, for dry runs over history; empty for none",
    )
    devices_api_key: SecretStr = Field(
        default=SecretStr(""), description="Key of devices_api, which has to be allowed to read"
    )
    max_age_seconds: float = Field(
        default=600.0,
        ge=1,
        description="Age from which on a reading may resolve an alert but neither begin nor fire one",
    )
    checkpoint_seconds: float = Field(
        default=5.0,
        gt=0,
        le=60,
        description="Longest time until what devices last said is on disk; changes of alerts are at once",
    )
    lease_seconds: float = Field(
        default=6.0,
        ge=0.1,
        le=600,
        description="Time after which another replica takes over the partitions of one that no longer renews them",
    )
    history_days: float = Field(default=90.0, gt=0, description="How long resolved alerts are kept")
