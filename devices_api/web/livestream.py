"""How live events go out: as server-sent events, and as messages of a WebSocket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from http import HTTPStatus

import msgspec
from fastapi import WebSocket
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from devices_api.errors import UnavailableError
from devices_api.live.hub import Hub
from devices_api.live.listening import Heard, Listener
from devices_api.live.live import Entry

_HEARTBEAT_S = 15.0
_STALLED_S = 30.0
"""A connection that takes nothing for so long is closed."""
_TRY_AGAIN_LATER = 1013

_json = msgspec.json.Encoder()


Holds = Callable[[], Awaitable[bool]]
"""Whether a listener may still hear what it began to. Raises UnavailableError."""


async def _told(listener: Listener, missed: Iterable[Entry], holds: Holds) -> AsyncIterator[list[Heard]]:
    """Give what a listener hears; where it may not any more, or nobody can tell what it wants, it is dropped."""
    try:
        async for heard in listener.hear(missed, _HEARTBEAT_S):
            if not await holds():
                listener.drop("key: it has ended or was changed; begin again with one that is good")
                return
            yield heard
    except UnavailableError as error:
        listener.drop(f"unavailable: {error}; begin again from the last id")


async def _until_either(gone: Coroutine[None, None, None], sending: Coroutine[None, None, None]) -> None:
    """Send until there is nothing left to send, or nobody to send it to."""
    tasks = [asyncio.create_task(gone), asyncio.create_task(sending)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


class EventStream(Response):
    """Server-sent events of a listener; the last one says why it was dropped."""

    media_type = "text/event-stream"

    def __init__(self, hub: Hub, listener: Listener, missed: Iterable[Entry], holds: Holds) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._hub, self._listener, self._missed, self._holds = hub, listener, missed, holds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - what ASGI calls
        """Send events until the client has gone, or the listener is dropped."""
        try:
            await _until_either(self._gone(receive), self._send(send))
        finally:
            self._hub.leave(self._listener)

    @staticmethod
    async def _gone(receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": HTTPStatus.OK.value, "headers": self.raw_headers})
        with contextlib.suppress(TimeoutError):  # a client that takes nothing: there is nobody to tell
            async for part in self._parts():
                async with asyncio.timeout(_STALLED_S):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _parts(self) -> AsyncIterator[bytes]:
        yield b"retry: 2000\n\n"
        async for heard in _told(self._listener, self._missed, self._holds):
            yield b"".join(map(_frame, heard)) or b": nothing new\n\n"
        yield b"event: dropped\ndata: " + _json.encode({"reason": self._listener.dropped}) + b"\n\n"


def _frame(heard: Heard) -> bytes:
    return f"id: {heard.position}\nevent: {heard.name}\ndata: ".encode() + _json.encode(heard.content) + b"\n\n"


async def serve_socket(
    websocket: WebSocket, hub: Hub, listener: Listener, missed: Iterable[Entry], holds: Holds
) -> None:
    """Send messages until the client has gone, or the listener is dropped: then the socket's end says why."""

    async def gone() -> None:
        while (await websocket.receive())["type"] != "websocket.disconnect":
            pass  # whatever it says, text or bytes: nothing is asked of it

    async def send() -> None:
        with contextlib.suppress(TimeoutError):  # as above
            async for heard in _told(listener, missed, holds):
                for item in heard:
                    message = {"id": str(item.position), "event": item.name, "data": item.content}
                    async with asyncio.timeout(_STALLED_S):
                        await websocket.send_text(_json.encode(message).decode())
            await websocket.close(_TRY_AGAIN_LATER, listener.dropped[:120])

    try:
        await websocket.accept()
        await _until_either(gone(), send())
    finally:
        hub.leave(listener)
