"""A POST with an `Idempotency-Key` is done once, and answered as often as it is sent.

What is kept of an answer is its status, some headers and its body, but for answers that are not to be stored
(`Cache-Control: no-store`, which all that hold secrets say): of these only that the request was done.
"""

import asyncio
import contextlib
import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi.routing import iter_route_contexts
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contracts.problems import MAX_BODY, Problem, refuse
from devices_api.access import Principal
from devices_api.errors import UnavailableError
from devices_api.keys.keys import RandomBytes
from devices_api.metrics import Metrics
from devices_api.web.access import identify

if TYPE_CHECKING:
    from devices_api.credentials.answers import Answer
    from devices_api.repository import Repository

HEADER = "Idempotency-Key"
MAX_KEPT = 256 << 10
"""Longest answer that is kept, in bytes; of a longer one only that the request was done."""

RENEW_S = 20.0

_KEY = re.compile(r"[\x21-\x7e]{1,128}")
_KEPT_HEADERS = ("content-type", "etag", "location")
_NOT_ABOUT_THE_REQUEST = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}
_FAILED = HTTPStatus.INTERNAL_SERVER_ERROR


class Idempotency:
    """ASGI middleware. `now` gives ns since 1970 UTC."""

    def __init__(
        self,
        app: ASGIApp,
        registry: "Callable[[], Repository]",
        random_bytes: RandomBytes,
        metrics: Metrics,
        now: Callable[[], int],
    ) -> None:
        self._app, self._registry, self._random_bytes = app, registry, random_bytes
        self._metrics, self._now = metrics, now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, unless it was done before."""
        key = Headers(scope=scope).get(HEADER) if scope["type"] == "http" and scope["method"] == "POST" else None
        who = None if key is None else await _whoever(scope)
        if key is None or who is None:
            await self._app(scope, receive, send)
            return
        try:
            await self._once(key, who, scope, receive, send)
        except Problem as problem:
            await refuse(scope, problem)(scope, receive, send)

    async def _once(self, key: str, who: Principal, scope: Scope, receive: Receive, send: Send) -> None:
        from devices_api.credentials.answers import Answer, Refused  # noqa: PLC0415 - the database's library

        if not _KEY.fullmatch(key):
            detail = f"{HEADER} has to be 1 to 128 characters of ASCII without spaces."
            raise Problem(HTTPStatus.BAD_REQUEST, "bad-idempotency-key", "The idempotency key is not valid", detail)
        read = await _beginning(receive)
        id_, request, claim = _id(key, who), _fingerprint(key, scope, read), self._random_bytes(16).hex()
        try:
            answers = self._registry().answers
            found = await answers.claim(id_, request, claim, self._now())
        except UnavailableError as error:
            title, detail = "Something that the answer needs is away", f"{error}. Ask again later."
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", title, detail, {"Retry-After": "2"}) from error
        if found is not None:
            _find_route(scope)
        if isinstance(found, Refused):
            self._metrics.idempotent.labels(found.name.lower()).inc()
            raise _refused(running=found is Refused.RUNNING)
        if isinstance(found, Answer):
            self._metrics.idempotent.labels("answered").inc()
            await _again(found)(scope, receive, send)
            return
        given = _Given(send)
        try:
            async with self._renewing(id_, claim):
                await self._app(scope, _replayed(read, receive), given.take)
        except BaseException:
            with contextlib.suppress(UnavailableError):
                await answers.release(id_, claim)
            raise
        # Step by step: the answer is kept, and then sent; whoever sends the request again gets the same.
        with contextlib.suppress(UnavailableError):  # the claim expires, and until then nobody does it again
            if given.status >= _FAILED or given.status in _NOT_ABOUT_THE_REQUEST:
                await answers.release(id_, claim)
            else:
                await answers.keep(id_, claim, Answer(given.status, given.headers(), given.body()), self._now())
        await given.send_rest()

    @contextlib.asynccontextmanager
    async def _renewing(self, id_: str, claim: str) -> AsyncIterator[None]:
        async def renew() -> None:
            while True:
                await asyncio.sleep(RENEW_S)
                with contextlib.suppress(UnavailableError):
                    await self._registry().answers.renew(id_, claim, self._now())

        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)


class _Given:
    """What a route answers, held back until it is whole, or too long to be kept."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._held: list[Message] = []
        self._size = 0
        self._passing = False
        self.status = 0
        self._all: Headers = Headers()

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self._all = message["status"], Headers(raw=message["headers"])
        self._size += len(message.get("body", b""))
        self._held.append(message)
        if self._passing or self._size > MAX_KEPT:
            self._passing = True
            await self.send_rest()

    def headers(self) -> dict[str, str]:
        return {name: self._all[name] for name in _KEPT_HEADERS if name in self._all}

    def body(self) -> bytes | None:
        if self._passing or "no-store" in self._all.get("cache-control", ""):
            return None
        return b"".join(message.get("body", b"") for message in self._held)

    async def send_rest(self) -> None:
        held, self._held = self._held, []
        for message in held:
            await self._send(message)


async def _whoever(scope: Scope) -> Principal | None:
    """Tell who asks; None for nobody, whom the route itself will refuse."""
    try:
        return await identify(HTTPConnection(scope))
    except (Problem, UnavailableError):
        return None


def _find_route(scope: Scope) -> None:
    """Note the route of a request that does not come to it, for who measures it."""
    for context in iter_route_contexts(scope["app"].routes):
        if context.matches(scope)[0] is Match.FULL:
            scope["route"] = context.original_route
            return


def _id(key: str, who: Principal) -> str:
    """Name the key of somebody, as long as they may do the same."""
    view = None if who.view is None else sorted(who.view)
    return hashlib.sha256(repr((who.key or who.name, sorted(who.scopes), view, key)).encode()).hexdigest()


def _fingerprint(key: str, scope: Scope, read: list[Message]) -> str:
    """Tell requests apart. It is keyed, so that nobody can try what a kept one may have held."""
    digest = hmac.new(key.encode(), digestmod=hashlib.sha256)
    length = Headers(scope=scope).get("content-length", "")
    digest.update(repr((scope["method"], scope["path"], scope["query_string"], length)).encode())
    for message in read:
        digest.update(message.get("body", b""))
    return digest.hexdigest()


async def _beginning(receive: Receive) -> list[Message]:
    """Read a body, as far as it is compared: a longer one is a stream that has to stay one."""
    read: list[Message] = []
    size = 0
    while size <= MAX_BODY:
        message = await receive()
        read.append(message)
        size += len(message.get("body", b""))
        if not message.get("more_body", False):
            break
    return read


def _replayed(read: list[Message], receive: Receive) -> Receive:
    """Give what was read once more, and then what comes."""
    waiting = iter(read)

    async def take() -> Message:
        return next(waiting, None) or await receive()

    return take


def _again(found: "Answer") -> Response:
    headers = dict(found.headers)
    if found.body is not None:
        return Response(found.body, found.status, headers | {"Idempotent-Replayed": "true"})
    detail = "It was done, and its answer was not kept: it held a secret, which is shown once, or it was too long."
    location = {"Location": headers["location"]} if "location" in headers else {}
    if location:
        detail += f" What was made is at {location['Location']}."
    raise Problem(HTTPStatus.CONFLICT, "already-done", "Already done", detail, location)


def _refused(*, running: bool) -> Problem:
    if running:
        detail = "A request with this idempotency key is being done. Send it again in a moment."
        return Problem(HTTPStatus.CONFLICT, "in-progress", "In progress", detail, {"Retry-After": "1"})
    detail = "This idempotency key was sent with another request, within a day."
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency-key-reused", "The key was used before", detail)
