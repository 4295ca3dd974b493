"""Around every request: its count, its time, and a bound on its body."""

import asyncio
from http import HTTPMethod, HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contracts.problems import MAX_BODY, bounded
from devices_api.metrics import Metrics

MAX_EDITED_BODY = 6 << 20
"""Largest body that may carry an edited payload: the largest that ingest can be told to take, in base64."""

UPLOADS = "/jobs/import/"
"""What the path of a request has whose body is a file: it is kept piece by piece, and has a bound of its own."""

_METHODS = frozenset(HTTPMethod)


class Measure:
    """ASGI middleware. Requests that no route takes are counted under the route `none`."""

    def __init__(self, app: ASGIApp, metrics: Metrics, upload_bytes: int) -> None:
        self._app, self._metrics, self._upload_bytes = app, metrics, upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        clock = asyncio.get_running_loop().time
        began, status = clock(), HTTPStatus.INTERNAL_SERVER_ERROR.value

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, bounded(receive, self._most(scope["path"])), note)
        finally:
            route = getattr(scope.get("route"), "path", "") or "none"
            method = scope["method"] if scope["method"] in _METHODS else "other"  # a client may invent methods
            self._metrics.requests.labels(route, method, status).inc()
            self._metrics.request_seconds.labels(route).observe(clock() - began)

    def _most(self, path: str) -> int:
        """Give the most bytes of a body."""
        if UPLOADS in path:
            return self._upload_bytes
        return MAX_EDITED_BODY if path.endswith("/replay") else MAX_BODY
