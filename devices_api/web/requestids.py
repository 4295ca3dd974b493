"""A name for every request: in its answer, in problem documents, in the audit log, and in what is logged for it."""

import re
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

HEADER = "X-Request-Id"

_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestIds:
    """ASGI middleware. A request's own id is taken where it is sane, and else one is made of `random_bytes`."""

    def __init__(self, app: ASGIApp, random_bytes: Callable[[int], bytes]) -> None:
        self._app, self._random_bytes = app, random_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        id_ = given if _SANE.fullmatch(given) else self._random_bytes(12).hex()
        scope.setdefault("state", {})["request_id"] = id_

        async def name(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                MutableHeaders(scope=message)[HEADER] = id_
            await send(message)

        with bound_contextvars(request=id_):
            await self._app(scope, receive, name)


def request_id(scope: Scope) -> str:
    """Return the request's id; empty where requests have none."""
    found: str = scope.get("state", {}).get("request_id", "")
    return found
