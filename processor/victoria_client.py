"""Talks HTTP to a VictoriaMetrics server, over one connection that is kept."""

import base64
import http.client
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import msgspec

from processor.store import StoreUnavailableError

_FLAG = re.compile(r'^-([\w.]+)="(.*)"$', re.MULTILINE)
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class _Series(msgspec.Struct):
    metric: dict[str, str]
    values: list[float]
    timestamps: list[int]


_exported = msgspec.json.Decoder(_Series)


@dataclass(frozen=True)
class Access:
    """Name and password, or a token; both empty where the server wants none."""

    user: str = ""
    password: str = ""
    token: str = ""

    def headers(self) -> dict[str, str]:
        """Give the headers that a request needs."""
        if self.token:
            return {"Authorization": f"Bearer {self.token}"}
        if self.user:
            pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            return {"Authorization": f"Basic {pair}"}
        return {}


class VictoriaClient:
    """One server. Whatever goes wrong, and every answer but 2xx, is a StoreUnavailableError."""

    def __init__(self, url: str, access: Access, timeout: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
            raise ValueError("the address of VictoriaMetrics is http(s)://HOST:PORT, without a name or password")
        self._url = url
        self._kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host, self._port, self._prefix = parts.hostname, parts.port, parts.path.rstrip("/")
        self._headers, self._timeout = access.headers(), timeout
        self._connection: http.client.HTTPConnection | None = None

    def connect(self) -> None:
        """Open a connection. If it is lost, the next request fails; the one after that opens another."""
        self.close()
        self._opened()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def write(self, lines: str) -> None:
        """Send line protocol with times in ms. The server has it when this returns, but not on disk."""
        # Level 1: higher ones cost more than they save on the way.
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        body = packer.compress(lines.encode()) + packer.flush()
        self._request("POST", "/api/v2/write?precision=ms", body, {"Content-Encoding": "gzip"})

    def make_visible(self) -> None:
        """Let queries see all that was written. It is not on disk then."""
        self._request("GET", "/internal/force_flush")

    def make_durable(self) -> None:
        """Return when all that was written is on disk, and visible.

        Nothing but a snapshot does that, since there is no write-ahead log: it writes to disk, with fsync, whatever
        is in memory, and then links the files. We do not need the links.
        """
        answer = json.loads(self._request("GET", "/snapshot/create"))
        if answer.get("status") != "ok":
            raise StoreUnavailableError(f"{self._url}: makes no snapshot: {answer}")
        self._request("GET", f"/snapshot/delete?{urlencode({'snapshot': answer['snapshot']})}")

    def flags(self) -> dict[str, str]:
        """Return the flags that the server was started with."""
        return dict(_FLAG.findall(self._request("GET", "/flags").decode()))

    def export(
        self, selectors: Sequence[str], start: int, end: int
    ) -> Iterator[tuple[dict[str, str], list[tuple[int, float]]]]:
        """Return the labels of each series, and its samples as (ms, value), with `start` <= ms < `end`."""
        form = [("match[]", one) for one in selectors] + [("start", _seconds(start)), ("end", _seconds(end - 1))]
        answer = self._request("POST", "/api/v1/export", urlencode(form).encode(), _FORM)
        for series in _exported.decode_lines(answer):
            yield series.metric, list(zip(series.timestamps, series.values, strict=True))

    def query(self, query: str, at: int) -> list[tuple[dict[str, str], float]]:
        """Evaluate MetricsQL at a time in ms; return the labels and the value of each series."""
        form = urlencode({"query": query, "time": _seconds(at), "nocache": "1"}).encode()
        answer = json.loads(self._request("POST", "/api/v1/query", form, _FORM))
        return [(one["metric"], float(one["value"][1])) for one in answer["data"]["result"]]

    def _opened(self) -> http.client.HTTPConnection:
        if self._connection is None:
            self._connection = self._kind(self._host, self._port, timeout=self._timeout)
            self._connection.auto_open = 0
            try:
                self._connection.connect()
            except OSError as error:
                self.close()
                raise StoreUnavailableError(f"{self._url}: {error or type(error).__name__}") from error
        return self._connection

    def _request(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
        try:
            connection = self._opened()
            connection.request(method, self._prefix + path, body or None, {**self._headers, **(headers or {})})
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise StoreUnavailableError(f"{self._url}: {error or type(error).__name__}") from error
        except BaseException:
            self.close()
            raise
        if response.status // 100 != 2:  # noqa: PLR2004 - any of the 200s
            wait = response.headers.get("Retry-After", "")
            said = content[:200].decode(errors="replace")
            raise StoreUnavailableError(
                f"{self._url}: {path.partition('?')[0]} answers {response.status}: {said}",
                float(wait) if wait.isdecimal() else 0.0,
            )
        return content


def _seconds(ms: int) -> str:
    return f"{ms // 1000}.{ms % 1000:03d}"
