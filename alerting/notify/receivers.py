"""Receivers as operators write them, and what of them is secret. Pure."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter, model_validator

from alerting.notify.addresses import MAX_URL, origin, url_problem
from alerting.notify.messages import BODY, SUBJECT, TITLE, TOPIC, message_problem

SECRET = "<secret>"  # noqa: S105 - it stands where a secret is not shown
"""What is read in place of a secret; whoever writes it back keeps the secret."""


def _not_masked(text: str) -> str:
    if SECRET in text:
        raise ValueError(f"{SECRET} stands for a secret that is kept already, and there is none")
    return text


def _good_url(url: str) -> str:
    if problem := url_problem(url):
        raise ValueError(f"the URL {problem}")
    return url


def _good_template(text: str) -> str:
    if problem := message_problem(text):
        raise ValueError(problem)
    return text


def _good_host(host: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.:_-]+", host):
        raise ValueError("a host is a name or an address")
    return host


def _one_line(text: str) -> str:
    if not text.isprintable() or not text.isascii():
        raise ValueError("only printable ASCII characters")
    return text


Url = Annotated[str, Field(max_length=MAX_URL), AfterValidator(_good_url), AfterValidator(_not_masked)]
Secret = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_not_masked)]
Template = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_good_template)]
HeaderName = Annotated[str, Field(pattern="^[A-Za-z0-9-]+$", max_length=128)]
HeaderValue = Annotated[str, Field(max_length=4096), AfterValidator(_one_line), AfterValidator(_not_masked)]
Host = Annotated[str, Field(min_length=1, max_length=253), AfterValidator(_good_host)]
Address = Annotated[str, Field(pattern=r"^[^@\s,<>]+@[^@\s,<>]+$", max_length=254), AfterValidator(_one_line)]

_OURS = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection", "authorization"})


class _Receiver(BaseModel):
    """What receivers of every type have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    secret_fields: ClassVar[tuple[str, ...]] = ()

    send_resolved: bool = Field(default=True, description="Whether it is told of alerts that are over")
    description: str = Field(default="", max_length=1024)

    @property
    def place(self) -> str:
        """Where its secrets are sent: those that are kept are kept for this place only."""
        return ""


class WebhookReceiver(_Receiver):
    """An HTTP server that notifications are posted to."""

    secret_fields = ("url", "bearer", "hmac_key", "headers")

    type: Literal["webhook"]
    url: Url = Field(description="http or https; of what is read, only the origin is shown")
    format: Literal["plain", "alertmanager"] = Field(
        default="plain", description="plain: a Notification of ours; alertmanager: the body of Alertmanager's webhooks"
    )
    bearer: Annotated[Secret, AfterValidator(_one_line)] | None = Field(
        default=None, description="Sent as Authorization: Bearer"
    )
    hmac_key: Secret | None = Field(default=None, description="Key that Sensorium-Signature is made with")
    headers: dict[HeaderName, HeaderValue] = Field(default={}, max_length=20, description="Sent with each notification")

    @model_validator(mode="after")
    def _not_ours(self) -> Self:
        if taken := {name.lower() for name in self.headers} & _OURS:
            raise ValueError(f"the header {min(taken)} is set by the service")
        return self

    @property
    def place(self) -> str:
        """The URL's origin."""
        return origin(self.url)


class MqttReceiver(_Receiver):
    """A topic of the service's broker."""

    type: Literal["mqtt"]
    topic: Template = Field(default=TOPIC, description="Template of the topic")
    retain: bool = False


class EmailReceiver(_Receiver):
    """People who read mail."""

    secret_fields = ("password",)

    type: Literal["email"]
    host: Host = Field(description="SMTP server")
    port: int = Field(default=587, ge=1, le=65535)
    tls: Literal["starttls", "tls", "none"] = Field(
        default="starttls",
        description="starttls: turned on after the greeting, or nothing is sent; tls: from the start",
    )
    username: str = Field(default="", max_length=256)
    password: Secret | None = None
    sender: Address
    to: Annotated[list[Address], Field(min_length=1, max_length=50)]
    subject: Template = SUBJECT
    body: Template = BODY

    @model_validator(mode="after")
    def _not_in_clear(self) -> Self:
        if self.password is not None and self.tls == "none":
            raise ValueError("a password is sent only with tls or starttls")
        if self.password is not None and not self.username:
            raise ValueError("a password needs a username")
        return self

    @property
    def place(self) -> str:
        """The server, and how it is spoken to."""
        return f"{self.tls}://{self.host}:{self.port}"


class AppriseReceiver(_Receiver):
    """A service that Apprise knows how to reach."""

    secret_fields = ("url",)

    type: Literal["apprise"]
    url: Secret = Field(description="As Apprise writes it")
    title: Template = TITLE
    body: Template = BODY


class AlertmanagerReceiver(_Receiver):
    """A Prometheus Alertmanager, which alerts are pushed to, and again while they fire."""

    secret_fields = ("url", "bearer")

    type: Literal["alertmanager"]
    url: Url = Field(description="Its root, without /api/v2/alerts")
    bearer: Annotated[Secret, AfterValidator(_one_line)] | None = None
    resend_seconds: int = Field(
        default=60,
        ge=1,
        le=3600,
        description="How often alerts that fire are pushed again; unheard of for four times this, they end there",
    )

    @property
    def place(self) -> str:
        """The URL's origin."""
        return origin(self.url)


Receiver = WebhookReceiver | MqttReceiver | EmailReceiver | AppriseReceiver | AlertmanagerReceiver


def _type(value: Any) -> str:  # noqa: ANN401 - whatever was sent
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", "")
    return kind if isinstance(kind, str) else ""


AnyReceiver = Annotated[
    Annotated[WebhookReceiver, Tag("webhook")]
    | Annotated[MqttReceiver, Tag("mqtt")]
    | Annotated[EmailReceiver, Tag("email")]
    | Annotated[AppriseReceiver, Tag("apprise")]
    | Annotated[AlertmanagerReceiver, Tag("alertmanager")],
    Discriminator(_type),
]

_receivers: TypeAdapter[Receiver] = TypeAdapter(AnyReceiver)
_types: dict[str, type[_Receiver]] = {
    "webhook": WebhookReceiver,
    "mqtt": MqttReceiver,
    "email": EmailReceiver,
    "apprise": AppriseReceiver,
    "alertmanager": AlertmanagerReceiver,
}


def schema() -> dict[str, Any]:
    """Describe what `merged` reads, as JSON Schema: secrets may be missing where they are kept."""
    one_of = []
    for model in _types.values():
        described = model.model_json_schema()
        described["required"] = [name for name in described["required"] if name not in model.secret_fields]
        one_of.append(described)
    return {"oneOf": one_of, "title": "Receiver"}


class SecretsError(ValueError):
    """A secret that is kept would go to another place than it was given for; the message names what to give again."""


def parse_receiver(content: Mapping[str, Any], secrets: Mapping[str, Any]) -> Receiver:
    """Put together what `split` took apart. Raises pydantic.ValidationError."""
    return _receivers.validate_python({**content, **secrets})


def split(receiver: Receiver) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give what is kept of a receiver: its content, which may be read, and its secrets."""
    whole = {"type": receiver.type} | receiver.model_dump(mode="json", exclude_defaults=True)
    names = receiver.secret_fields
    content = {name: value for name, value in whole.items() if name not in names}
    return content, {name: value for name, value in whole.items() if name in names}


def shown(content: Mapping[str, Any], secrets: Mapping[str, Any]) -> dict[str, Any]:
    """Give a receiver as it may be read: each secret as SECRET, and of a URL the origin."""
    return dict(content) | {name: _masked(content.get("type"), name, value) for name, value in secrets.items()}


def merged(body: Mapping[str, Any], content: Mapping[str, Any], secrets: Mapping[str, Any]) -> Receiver:
    """Read a receiver that replaces one of `content` and `secrets`.

    A secret that is left out, or given as it is read, stays; null takes it away. Raises pydantic.ValidationError, and
    SecretsError where one that stays would go to another place.
    """
    whole, kept = dict(body), set()
    if body.get("type") == content.get("type"):
        for name in _types.get(str(body.get("type")), _Receiver).secret_fields:
            old = secrets.get(name)
            masked = _masked(body.get("type"), name, old)
            if old is not None and (name not in body or body[name] == masked):
                whole[name] = old
                kept.add(name)
            elif isinstance(old, dict) and isinstance(body.get(name), dict):
                stays = {key for key, value in body[name].items() if value == SECRET and key in old}
                whole[name] = body[name] | {key: old[key] for key in stays}
                kept |= {f"{name}.{key}" for key in stays}
    receiver = _receivers.validate_python(whole)
    if kept and receiver.place != parse_receiver(content, secrets).place:
        raise SecretsError(f"give {', '.join(sorted(kept))} again: the receiver is at another place now")
    return receiver


def _masked(kind: object, name: str, value: Any) -> Any:  # noqa: ANN401 - text, or headers
    if isinstance(value, dict):
        return dict.fromkeys(value, SECRET)
    if name == "url" and kind != "apprise" and isinstance(value, str):
        return origin(value) if urlsplit(value).path in ("", "/") and "?" not in value else f"{origin(value)}/{SECRET}"
    return SECRET
