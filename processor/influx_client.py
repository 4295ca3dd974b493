"""Requests to an InfluxDB server, and what its answers mean. Nothing of a token gets into an error or a URL."""

import contextlib
import re
import zlib
from collections.abc import Iterator

import urllib3
from influxdb_client import InfluxDBClient
from influxdb_client.rest import ApiException

from contracts.influxql import Result, read_answer
from processor.store import StoreUnavailableError

_MOST_WAIT_S = 300.0
"""A server that asks for more than that is asked again after it."""
_MOST_SHOWN = 500
"""Characters of a server's answer that are told."""
_MESSAGE = re.compile(r'"(?:message|error)":\s*"((?:[^"\\]|\\.)*)"')


class RejectedError(Exception):
    """The server has not taken all of the lines, and never will."""


class TooLargeError(Exception):
    """The server takes no request as large as that."""


class InfluxClient:
    """A connection to one bucket. `timeout` in seconds is for one request.

    `unsure` counts the requests of which it is not known whether the server has done, or yet does, what they say.
    """

    def __init__(self, url: str, token: str, org: str, bucket: str, timeout: float) -> None:
        self._url, self._token, self._org, self.bucket, self._timeout = url, token, org, bucket, timeout
        self._client: InfluxDBClient | None = None
        self.unsure = 0

    def close(self) -> None:
        """Close the connections; the next request opens others."""
        if self._client is not None:
            client, self._client = self._client, None
            client.close()

    def write(self, lines: bytes) -> None:
        """Write lines; they are on disk when it returns.

        Raises RejectedError or TooLargeError if the fault is in the lines, else StoreUnavailableError.
        """
        headers = {"Content-Type": "text/plain; charset=utf-8", "Content-Encoding": "gzip"}
        query = [("org", self._org), ("bucket", self.bucket), ("precision", "ns")]
        status, _ = self._request("/api/v2/write", query, headers, zlib.compress(lines, 1, 31))
        if status != 204:  # noqa: PLR2004 - "no content": the only answer that says that all of it is stored
            raise StoreUnavailableError(f"{self._url}: the answer to a write is {status}, not 204")

    def query(self, statements: str) -> list[Result]:
        """Ask in InfluxQL. Raises StoreUnavailableError."""
        try:
            return self._ask(statements)
        except (RejectedError, TooLargeError, ValueError) as error:
            raise StoreUnavailableError(f"{self._url}: {str(error)[:_MOST_SHOWN]}{self._advice(str(error))}") from error

    def understands(self, statement: str) -> bool:
        """Do what a statement says, and tell whether the server knows such statements. Raises StoreUnavailableError."""
        try:
            self._ask(statement)
        except (RejectedError, ValueError):
            return False
        return True

    def _ask(self, statements: str) -> list[Result]:
        database, _, policy = self.bucket.partition("/")
        body = [("db", database), ("rp", policy), ("epoch", "ns"), ("q", statements)]
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        _, data = self._request("/query", [], headers, None, body)
        return read_answer(data)

    def _request(
        self,
        path: str,
        query: list[tuple[str, str]],
        headers: dict[str, str],
        body: bytes | None,
        form: list[tuple[str, str]] | None = None,
    ) -> tuple[int, str]:
        if self._client is None:
            # Trying again is up to who calls: only it knows what is to be written by then.
            self._client = InfluxDBClient(
                self._url, self._token, org=self._org, timeout=int(self._timeout * 1000), retries=False
            )
        api = self._client.api_client
        with self._failing():
            _, status, _ = api.call_api(path, "POST", None, query, headers, body=body, post_params=form)
            return status, api.last_response.data
        raise AssertionError  # unreachable: what fails raises

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except ApiException as error:
            raise self._meaning(error) from None
        except urllib3.exceptions.NewConnectionError as error:
            raise StoreUnavailableError(f"{self._url}: cannot be reached: {error}") from None
        except (urllib3.exceptions.HTTPError, OSError, UnicodeDecodeError) as error:
            self.unsure += 1
            self.close()
            raise StoreUnavailableError(f"{self._url}: no answer: {type(error).__name__}") from None

    def _meaning(self, error: ApiException) -> Exception:
        status, said = error.status, _said(error)
        if status in (400, 422):
            return RejectedError(said)
        if status == 413:  # noqa: PLR2004 - payload too large
            return TooLargeError(said)
        if status in (429, 503):
            self.unsure += status == 503  # noqa: PLR2004 - what stands before the server may not have waited for it
            return StoreUnavailableError(f"{self._url}: asks for patience: {status} {said}", _wait(error))
        self.unsure += status >= 500  # noqa: PLR2004 - the server's fault
        return StoreUnavailableError(f"{self._url}: {status} {said}{self._advice(said, status)}")

    def _advice(self, said: str, status: int = 0) -> str:
        """Say what an operator has to do, where that is known."""
        if status in (401, 403):
            return f"; give processor a token that may read and write the bucket {self.bucket!r}"
        if status == 404 or "not found" in said:  # noqa: PLR2004 - not found
            return f"; make the bucket {self.bucket!r} in the organisation {self._org!r}, without a retention period"
        return ""


def _said(error: ApiException) -> str:
    """Give the server's own words."""
    body = str(error.body or error.reason)
    match = _MESSAGE.search(body)
    return (match[1] if match else body.strip())[:_MOST_SHOWN]


def _wait(error: ApiException) -> float:
    """Read Retry-After, where it is in seconds."""
    headers = error.headers or {}
    try:
        return min(_MOST_WAIT_S, max(0.0, float(headers.get("Retry-After", 0))))
    except ValueError:
        return 0.0
