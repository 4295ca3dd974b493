"""What an API says of itself: /openapi.json with its errors as they are, and the page at /docs."""

from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

from contracts.problems import MEDIA_TYPE

_PLACE = '<div id="swagger-ui">'
_PROBLEM = {
    "title": "Problem",
    "description": "An error (RFC 9457): `type` and `title` are constant for its kind, `detail` is about this request.",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:sensorium:problem:invalid-request"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string", "description": "As in X-Request-Id, where the service names requests"},
    },
}


def install(app: FastAPI) -> None:
    """Describe `app`, which has to be made with `docs_url=None`."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _tell_errors(generate())  # which keeps what it gives, as app.openapi_schema
        return generate()

    app.openapi = openapi  # type: ignore[method-assign]  # this is how FastAPI wants it

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        page = get_swagger_ui_html(openapi_url="/openapi.json", title=app.title, swagger_favicon_url="data:,")
        # Swagger UI replaces what stands in its place. It comes from elsewhere, so without a way there this stays.
        return HTMLResponse(bytes(page.body).decode().replace(_PLACE, _PLACE + _plain(app.openapi()), 1))


def _tell_errors(described: dict[str, Any]) -> None:
    """Put the errors that are answered in the place of those that FastAPI would answer."""
    schemas = described.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = _PROBLEM
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for methods in described["paths"].values():
        for route in methods.values():
            route["responses"].pop("422", None)
            route["responses"]["default"] = {"description": "An error", "content": content}


def _plain(described: dict[str, Any]) -> str:
    rows = "".join(
        f"<dt><code>{method.upper()} {escape(path)}</code></dt>"
        f"<dd>{escape(route.get('description') or route.get('summary') or '')}</dd>"
        for path, methods in described["paths"].items()
        for method, route in methods.items()
    )
    return (
        f"<h1>{escape(described['info']['title'])}</h1>"
        "<p>This is what can be shown without the scripts of cdn.jsdelivr.net. "
        '<a href="/openapi.json">/openapi.json</a> has parameters and schemas.</p>'
        f"<dl>{rows}</dl>"
    )
