"""An API as the command line asks it: over HTTP, page by page, with errors that are one line."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from deploy.cli.errors import ApiError

_WAITS_S = 60.0
_PAGE = 1000
_CHUNK = 1 << 16


Query = Mapping[str, str | int | float | bool | list[str] | None]


class Api:
    """A client with a key. `transport` is for tests: by default it is the network. Methods raise ApiError."""

    def __init__(
        self,
        url: str,
        key: str,
        transport: httpx.BaseTransport | None = None,
        name: str = "devices API",
        prefix: str = "/api/v1",
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ApiError(f"{url!r} is no URL of an API, such as http://127.0.0.1:8080")
        self._url, self._name = url, name
        self._client = httpx.Client(
            base_url=f"{url.rstrip('/')}{prefix}",
            headers={"Authorization": f"Bearer {key}"},
            timeout=_WAITS_S,
            transport=transport,
            trust_env=False,
        )

    def get(self, path: str, query: Query | None = None) -> Any:  # noqa: ANN401 - any JSON
        """Give what is there."""
        return self.ask("GET", path, query)

    def ask(self, method: str, path: str, query: Query | None = None, body: object = None) -> Any:  # noqa: ANN401 - as above
        """Ask once; None where there is nothing in the answer."""
        with self._failing():
            answer = self._client.request(method, path, params=_given(query), json=body)
        _check(answer)
        return answer.json() if answer.content else None

    def pages(
        self, path: str, query: Query | None = None, most: int = 0, page: int = _PAGE
    ) -> Iterator[dict[str, Any]]:
        """Give the items of a list, of which as many pages are asked for as are wanted; `most` 0: all."""
        cursor, given = None, 0
        while True:
            limit = min(page, most - given) if most else page
            answer = self.get(path, {**(query or {}), "limit": limit, "cursor": cursor})
            yield from answer["items"]
            given, cursor = given + len(answer["items"]), answer["next"]
            if cursor is None or 0 < most <= given:
                return

    def upload(self, path: str, query: Query, file: BinaryIO, kind: str = "application/octet-stream") -> Any:  # noqa: ANN401 - as above
        """Send a file piece by piece."""
        pieces = iter(lambda: file.read(_CHUNK), b"")
        with self._failing():
            headers = {"Content-Type": kind}
            answer = self._client.post(path, params=_given(query), content=pieces, headers=headers)
        _check(answer)
        return answer.json()

    @contextmanager
    def stream(self, path: str, query: Query, *, endless: bool = False) -> Iterator[httpx.Response]:
        """Give an answer that is read as it comes."""
        timeout = httpx.Timeout(_WAITS_S, read=None) if endless else httpx.Timeout(_WAITS_S)
        with self._failing(), self._client.stream("GET", path, params=_given(query), timeout=timeout) as answer:
            if answer.is_error:
                answer.read()
            _check(answer)
            yield answer

    def download(self, path: str, query: Query, to: BinaryIO) -> None:
        """Write a file as it comes."""
        with self.stream(path, query) as answer:
            to.writelines(answer.iter_bytes())

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise ApiError(f"cannot reach the {self._name} at {self._url}: {error or type(error).__name__}") from error


def read_key(given: str, data_dir: Path) -> str:
    """Give the key of the environment, or that of the stack in `data_dir`. Raises ApiError where there is neither."""
    if given:
        return given
    path = data_dir / "admin.key"
    try:
        return path.read_text().strip()
    except OSError as error:
        raise ApiError(f"there is no key: set SENSORIUM_KEY, or name with --data-dir where {path.name} is") from error


def _given(query: Query | None) -> dict[str, Any]:
    return {name: value for name, value in (query or {}).items() if value not in (None, [], "")}


def _check(answer: httpx.Response) -> None:
    """Raise ApiError with the title and detail of a problem."""
    if answer.is_success:
        return
    try:
        problem = answer.json()
        told = f"{problem['title']}: {problem['detail']}"
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        told = f"the answer is {answer.status_code} {answer.reason_phrase}, and not of this API"
    raise ApiError(" ".join(told.split()))
