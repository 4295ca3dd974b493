"""Settings that every service has, and how a wrong one is reported: one line a variable, then exit 2."""

import sys
from typing import Annotated, NoReturn, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.stores import StoreKind, parse_store

S = TypeVar("S", bound="ServiceSettings")


def known_store(text: str) -> str:
    """Return `text` if it names a time-series store that may be there. Raises ValueError with what is wrong."""
    address = parse_store(text)
    if address.kind is StoreKind.SQLITE and address.path.is_dir():
        raise ValueError("it is a folder: it has to be a file, which is made if it is not there")
    return text


StoreSetting = Annotated[str, BeforeValidator(str), AfterValidator(known_store)]
"""A time-series store, as contracts.stores reads it."""

STORE = "a file, influxdb+http://HOST:PORT/BUCKET?org=ORG or victoria+http://HOST:PORT"


class ServiceSettings(BaseSettings):
    """What every service can be told. Each service's own class adds its prefix, its port and the rest."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=False)

    host: str = Field(default="127.0.0.1", description="Address that /healthz, /readyz, /metrics and the API listen on")
    port: int = Field(ge=0, le=65535, description="Port of the same; 0 takes a free one")
    drain_seconds: float = Field(default=8.0, gt=0, le=600, description="Longest time that stopping may take")
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$", description="Least level logged")


class StreamSettings(ServiceSettings):
    """Adds the stream server, for the services that use it."""

    nats_url: str = Field(default="nats://127.0.0.1:4222", pattern="^(nats|tls)://[^@]+$", description="Stream server")
    nats_token: SecretStr = Field(default=SecretStr(""), description="Token for the stream server, where it wants one")


def load(settings: type[S]) -> S:
    """Read the environment. What is wrong is printed, a line a variable, and ends the process with status 2."""
    try:
        return settings()
    except ValidationError as error:
        for line in explain(settings, error):
            sys.stderr.write(line + "\n")
        sys.exit(2)


def said(message: str) -> str:
    """Give what a validator of ours said, without what pydantic puts before it."""
    return message.removeprefix("Value error, ")


def explain(settings: type[ServiceSettings], error: ValidationError) -> list[str]:
    """Name each wrong variable, the value it has (never a secret's), and what is accepted."""
    prefix = str(settings.model_config.get("env_prefix", ""))
    lines = []
    for problem in error.errors(include_url=False):
        name = str(problem["loc"][0]) if problem["loc"] else ""
        field = settings.model_fields.get(name)
        variable = f"{prefix}{name}".upper()
        secret = (field is not None and "Secret" in str(field.annotation)) or _may_hold_secret(str(problem["input"]))
        given = (
            "is not set" if problem["type"] == "missing" else f"is {'(hidden)' if secret else repr(problem['input'])}"
        )
        meaning = f" ({field.description})" if field is not None and field.description else ""
        wanted = "it is required" if problem["type"] == "missing" else said(problem["msg"])
        lines.append(f"{variable} {given}: {wanted}{meaning}")
    return lines


def _may_hold_secret(text: str) -> bool:
    """Whether it is a URL with a name or parameters."""
    return "://" in text and any(mark in text for mark in "@?")


def fail(message: str) -> NoReturn:
    """End a process that cannot start, with one line that says why."""
    sys.stderr.write(message + "\n")
    sys.exit(2)
