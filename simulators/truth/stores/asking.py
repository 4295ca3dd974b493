"""Asking a server over HTTP, again and again where that may help."""

import asyncio
from collections.abc import Mapping, Sequence
from http import HTTPStatus

import httpx

from simulators.truth.stores.store import StoreError

PATIENCE_S = 30.0
"""How long a server may be away before it is given up."""

_RETRY_S = 0.25
_MOST_SHOWN = 200

Query = Sequence[tuple[str, str | int]]


class Server:
    """A server at `url`. What it refuses, or does not answer within `patience` seconds, is a StoreError.

    Where it answers 404, and says `absent`, there is nothing.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        absent: str = "",
        patience: float = PATIENCE_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url, self._patience, self._absent = url.rstrip("/"), patience, absent
        self._client = httpx.AsyncClient(headers=dict(headers), timeout=60, transport=transport, trust_env=False)

    async def get(self, path: str, query: Query = ()) -> bytes | None:
        """Get what is there; None stands for nothing."""
        return await self._ask(self._client.build_request("GET", self.url + path, params=list(query)))

    async def post(self, path: str, form: Mapping[str, str]) -> bytes | None:
        """Post a form; None stands for nothing."""
        return await self._ask(self._client.build_request("POST", self.url + path, data=dict(form)))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _ask(self, request: httpx.Request) -> bytes | None:
        deadline = asyncio.get_running_loop().time() + self._patience
        while True:
            try:
                answer = await self._client.send(request)
            except (httpx.TransportError, httpx.InvalidURL) as error:
                problem = str(error) or type(error).__name__
            else:
                if answer.is_success:
                    return answer.content
                if answer.status_code == HTTPStatus.NOT_FOUND and self._absent and self._absent in answer.text:
                    return None
                problem = f"{answer.status_code} {answer.text[:_MOST_SHOWN]}"
                if answer.is_client_error and answer.status_code != HTTPStatus.TOO_MANY_REQUESTS:
                    raise StoreError(f"{self.url}{request.url.path} answers {problem}")
            if asyncio.get_running_loop().time() >= deadline:
                raise StoreError(f"{self.url} does not answer: {problem}")
            await asyncio.sleep(_RETRY_S)
