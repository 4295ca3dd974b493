"""Asks the stream server whether it fsyncs before it acknowledges."""

import httpx


class Monitor:
    """The stream server's monitoring address."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def fsyncs(self) -> bool:
        """Return whether every acknowledgement comes after the fsync; false also if the server does not say."""
        try:
            async with httpx.AsyncClient(timeout=2) as client:
                answer = await client.get(f"{self._url.rstrip('/')}/varz")
                return answer.json()["jetstream"]["config"]["sync_always"] is True
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return False
