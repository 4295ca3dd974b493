"""One application for many tests: building one takes longer than most tests, so each request brings the parts to it.

FastAPI works out what each route takes when an application is built, and again at its first request; with a hundred
routes that is a quarter of a second. What an application stands on is therefore replaced by stand-ins when it is built,
which lead to the parts of whichever service the request was made to.
"""

import dataclasses
from collections.abc import Callable
from contextvars import ContextVar
from functools import reduce
from types import SimpleNamespace
from typing import Any

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

_now: ContextVar[Any] = ContextVar("parts")
_built: dict[Any, FastAPI] = {}


class _StandIn:
    """Stands for a part, or what an attribute of one holds; `first` answers while the application is built."""

    def __init__(self, first: Any, *path: str) -> None:  # noqa: ANN401 - any dataclass
        self._first, self._path = first, path

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute of one
        parts = _now.get(None)
        return _StandIn(self._first, *self._path, name) if parts is None else getattr(self._of(parts), name)

    def __call__(self, *args: Any, **more: Any) -> Any:  # noqa: ANN401 - any part that can be called
        return self._of(_now.get(self._first))(*args, **more)

    def _of(self, parts: Any) -> Any:  # noqa: ANN401 - any part
        return reduce(getattr, self._path, parts)


class SharedApp:
    """The application that `build` makes of `parts`, a dataclass; shared with all that have the same plain values."""

    def __init__(self, parts: Any, build: Callable[[Any], FastAPI]) -> None:  # noqa: ANN401 - any dataclass
        fields = {field.name: getattr(parts, field.name) for field in dataclasses.fields(parts)}
        plain = {name: value for name, value in fields.items() if isinstance(value, str | int | tuple | None)}
        key = type(parts), tuple(plain.items())
        if key not in _built:
            others = {name: _StandIn(parts, name) for name in fields.keys() - plain.keys()}
            _built[key] = build(dataclasses.replace(parts, **others))
        self._app, self._parts = _built[key], SimpleNamespace(**fields)
        self.state = self._parts
        """What a test may change, and see changed."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the application has
        return getattr(self._app, name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = _now.set(self._parts)
        try:
            await self._app(scope, receive, send)
        finally:
            _now.reset(token)
