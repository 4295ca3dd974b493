"""What brokers ask: EMQX's HTTP authenticator and authorizer, and RabbitMQ's HTTP backend.

Both carry the broker's key: EMQX in a header, RabbitMQ, which cannot be given one, as the password of basic
authentication.
"""

import base64
import binascii
import hmac
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import PlainTextResponse

from contracts.problems import Problem
from contracts.times import SECOND
from devices_api.credentials.broker_rules import Who, named, own, told
from devices_api.credentials.certificates import MAX_PEM
from devices_api.credentials.logins import Attempt, Verdict
from devices_api.credentials.rabbitmq import may_speak, may_use, representable
from devices_api.web.access import bearer

if TYPE_CHECKING:
    from devices_api.credentials.identity import Identity

_MOST_FIELDS = 50
_ABSENT = frozenset({"", "undefined"})
"""What EMQX writes where a placeholder stands for nothing."""

Text = Annotated[str, Field(max_length=65_535)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="ignore")  # what a broker is told to send is its operator's choice


class Connecting(_Asked):
    """A login. What EMQX cannot fill in is empty, null or `undefined`."""

    username: Text | None = None
    password: Text | None = None
    clientid: Text
    cert_common_name: Text | None = None
    cert_pem: Annotated[str, Field(max_length=MAX_PEM)] | None = None
    cert_fingerprint: Annotated[str, Field(max_length=256)] | None = None


class Speaking(_Asked):
    """A topic to publish to, or a filter to subscribe to."""

    username: Text | None = None
    clientid: Text
    action: Literal["publish", "subscribe"]
    topic: Text


def _proved(key: str) -> Callable[[Request], None]:
    def check(request: Request) -> None:
        given = bearer(request) or _basic_password(request.headers.get("authorization", ""))
        if not hmac.compare_digest(given.encode("utf-8", "surrogatepass"), key.encode()):
            detail = "Send the broker's key as a bearer token, or as the password of basic authentication."
            raise Problem(HTTPStatus.UNAUTHORIZED, "unauthorized", "Unauthorized", detail)

    return check


def _basic_password(header: str) -> str:
    scheme, _, encoded = header.partition(" ")
    try:
        decoded = base64.b64decode(encoded, validate=True).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return decoded.partition(":")[2]


def routes(identity: "Callable[[], Identity]", key: str, *, cert_login: bool) -> APIRouter:
    """Build the hooks for brokers that carry `key`.

    `cert_login`: where RabbitMQ sends a user name and no password, it has taken the name from a client certificate.
    """
    router = APIRouter(prefix="/broker", dependencies=[Depends(_proved(key))], include_in_schema=False)

    @router.post("/authenticate")
    async def authenticate(body: Connecting) -> dict[str, Any]:
        """Answer EMQX about a login."""
        verdict = await identity().broker.authenticate(
            Attempt(
                body.username or "",
                body.clientid,
                body.password or None,
                _given(body.cert_common_name),
                _given(body.cert_pem),
                _given(body.cert_fingerprint),
            )
        )
        return _answer(verdict)

    @router.post("/authorize")
    async def authorize(body: Speaking) -> dict[str, str]:
        """Answer EMQX about a topic."""
        allowed = await identity().broker.authorize(body.username or "", body.clientid, body.action, body.topic)
        return {"result": "allow" if allowed else "deny"}

    @router.post("/rabbitmq/user", response_class=PlainTextResponse)
    async def user(request: Request) -> str:
        """Answer RabbitMQ about a login."""
        fields = await _fields(request)
        username, password = fields.get("username", ""), fields.get("password")
        who = named(username)
        if who is None or not representable(who):
            return "deny"
        certified = username if cert_login and password is None else ""
        attempt = Attempt(username, fields.get("client_id", ""), password or None, certified)
        return _plain((await identity().broker.authenticate(attempt)).allowed)

    @router.post("/rabbitmq/vhost", response_class=PlainTextResponse)
    async def vhost(request: Request) -> str:
        """Answer RabbitMQ about a virtual host: there is only the one that the broker is set up with."""
        who = named((await _fields(request)).get("username", ""))
        return _plain(who is not None and await identity().broker.is_on(who))

    @router.post("/rabbitmq/resource", response_class=PlainTextResponse)
    async def resource(request: Request) -> str:
        """Answer RabbitMQ about a queue or an exchange."""
        fields = await _fields(request)
        who = named(fields.get("username", ""))
        allowed = who is not None and may_use(who, fields.get("client_id", ""), fields)
        return _plain(allowed and who is not None and await identity().broker.is_on(who))

    @router.post("/rabbitmq/topic", response_class=PlainTextResponse)
    async def topic(request: Request) -> str:
        """Answer RabbitMQ about a routing key."""
        fields = await _fields(request)
        who = named(fields.get("username", ""))
        allowed = who is not None and may_speak(who, fields.get("variable_map.client_id", ""), fields)
        return _plain(allowed and who is not None and await identity().broker.is_on(who))

    return router


async def _fields(request: Request) -> dict[str, str]:
    try:
        return dict(parse_qsl((await request.body()).decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, "bad-request", "The request cannot be read", "Send a form.") from error


def _plain(allowed: bool) -> str:  # noqa: FBT001 - the answer itself
    # Without a reason: RabbitMQ would log it together with the address that it asked, and the key is in that.
    return "allow" if allowed else "deny"


def _given(text: str | None) -> str:
    return "" if text is None or text in _ABSENT else text


def _answer(verdict: Verdict) -> dict[str, Any]:
    if not verdict.allowed or verdict.who is None:
        return {"result": "deny"}
    answer: dict[str, Any] = {"result": "allow", "is_superuser": verdict.superuser}
    if verdict.expires is not None:
        answer["expire_at"] = verdict.expires // SECOND
    if verdict.who.kind == "device" and "${" not in verdict.who.id:  # which EMQX would replace
        answer["acl"] = _acl(verdict.who)
    return answer


def _acl(who: Who) -> list[dict[str, str]]:
    """Give a device's rules. EMQX 5.8 and later takes them, and does not ask about each topic then."""
    never = [{"permission": "deny", "action": "publish", "topic": topic} for topic in told(who.id)]
    return [
        *never,
        {"permission": "allow", "action": "all", "topic": own(who.id)},
        {"permission": "deny", "action": "all", "topic": "#"},
    ]
