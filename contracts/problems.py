"""HTTP interfaces: errors as problem details (RFC 9457), and the bearer key that every request needs."""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError, ValidationException, WebSocketRequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contracts.settings import said

MEDIA_TYPE = "application/problem+json"

MAX_BODY = 256 << 10
"""Largest request body in bytes: a device with all its tags, or a rule with all its webhooks, is smaller."""


class Problem(HTTPException):
    """An answer that says what is wrong: `title` is constant for its `type`, `detail` is about this request."""

    def __init__(
        self, status: HTTPStatus, slug: str, title: str, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status_code=status, detail=detail, headers=headers)
        self.slug = slug
        self.title = title


def answer(
    scope: Scope,
    status: int,
    slug: str,
    title: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, object] | None = None,
) -> JSONResponse:
    """Answer the request of `scope` with a problem document, which has `more` too."""
    body = {"type": f"urn:sensorium:problem:{slug}", "title": title, "status": status, "detail": detail, **(more or {})}
    if request := scope.get("state", {}).get("request_id"):
        body["request_id"] = request
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def refuse(scope: Scope, problem: StarletteHTTPException) -> JSONResponse:
    """Answer the request of `scope` with an error that was raised."""
    phrase = HTTPStatus(problem.status_code).phrase
    slug = getattr(problem, "slug", phrase.lower().replace(" ", "-"))
    title = getattr(problem, "title", phrase)
    return answer(scope, problem.status_code, slug, title, str(problem.detail), headers=problem.headers)


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem document."""

    async def on_http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, StarletteHTTPException)  # noqa: S101 - registered for this type only
        return refuse(request.scope, error)

    async def on_invalid(request: HTTPConnection, error: Exception) -> JSONResponse:
        assert isinstance(error, ValidationException)  # noqa: S101 - as above
        errors = [{"at": ".".join(str(part) for part in e["loc"]), "problem": said(e["msg"])} for e in error.errors()]
        detail = "; ".join(f"{e['at']}: {e['problem']}" for e in errors)
        title = "The request is not valid"
        return answer(request.scope, 422, "invalid-request", title, detail, more={"errors": errors})

    async def on_unexpected(request: Request, _: Exception) -> JSONResponse:
        detail = "This is a bug in the service; its log has the details."
        return answer(request.scope, 500, "unexpected", "Unexpected error", detail)

    app.add_exception_handler(StarletteHTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(WebSocketRequestValidationError, on_invalid)  # the answer refuses the handshake
    app.add_exception_handler(Exception, on_unexpected)


_bearer = HTTPBearer(auto_error=False, description="The service's API key")


def require_key(key: str) -> Callable[..., Awaitable[None]]:
    """Build a dependency that lets a request through only with `Authorization: Bearer <key>`."""

    async def check(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> None:
        given = credentials.credentials if credentials else ""
        if not hmac.compare_digest(given.encode(), key.encode()):
            raise HTTPException(
                HTTPStatus.UNAUTHORIZED,
                "Send the API key in the header 'Authorization: Bearer KEY'.",
                headers={"WWW-Authenticate": "Bearer"},
            )

    return check


def bounded(receive: Receive, most: int = MAX_BODY) -> Receive:
    """Wrap what a request is read by: a body of more than `most` bytes is answered with 413, and not kept."""
    size = 0

    async def take() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > most:
            detail = f"The request's body is larger than {most} bytes."
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large", "The body is too large", detail)
        return message

    return take


class BodyLimit:
    """ASGI middleware that bounds the body of every request, by MAX_BODY or what `larger` gives for its path."""

    def __init__(self, app: ASGIApp, larger: Mapping[str, int] | None = None) -> None:
        self._app, self._larger = app, larger or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http":
            receive = bounded(receive, self._larger.get(scope["path"], MAX_BODY))
        await self._app(scope, receive, send)
