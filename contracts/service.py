"""The operating contract as code: how every service starts, reports on itself and stops. README.md has it in words."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Literal, NoReturn, Protocol, TypeVar

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, disable_created_metrics, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from contracts import logs
from contracts.settings import ServiceSettings, fail, load

S = TypeVar("S", bound=ServiceSettings)


class App(Protocol):
    """A service. Its app.py builds one from its settings, and nothing else builds adapters.

    `start` begins the work and returns without waiting for any peer. `stop` takes in nothing more, finishes what it
    has, and releases everything; a second `stop`, or one before `start`, does nothing. `waiting_for` names what is
    missing, and is empty when the service is ready. `api` is the service's own HTTP interface, or None.
    """

    @property
    def registry(self) -> CollectorRegistry:
        """Hold this instance's metrics: two instances in one process share nothing."""

    @property
    def api(self) -> ASGIApp | None:
        """Serve the service's own HTTP interface."""

    async def start(self) -> None:
        """Begin."""

    async def stop(self) -> None:
        """Stop intake, drain, release."""

    def waiting_for(self) -> list[str]:
        """Name what is missing."""


_WEBSOCKETS: Literal["websockets-sansio"] = "websockets-sansio"
"""The one of uvicorn's implementations that does not use what websockets has deprecated."""


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: `run_service` has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run_service(name: str, settings_type: type[S], build: Callable[[S, logs.Log], App]) -> NoReturn:
    """Run a service until SIGTERM or SIGINT; the process ends with 0, or with 2 if it cannot start."""
    settings = load(settings_type)
    # A second series for each counter, under its help text, that nobody reads.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client has not typed this one
    log = logs.configure(name, settings.log_level)
    variable = f"{settings_type.model_config.get('env_prefix', '')}PORT"
    try:
        listener = listen(settings.host, settings.port)
    except OSError as error:
        fail(f"{variable} is {settings.port}: cannot listen on {settings.host}:{settings.port}: {error.strerror}")
    with listener:
        asyncio.run(_until_signal(build(settings, log), listener, settings.drain_seconds, log))
    raise SystemExit(0)


def listen(host: str, port: int) -> socket.socket:
    """Bind `host`:`port` at once, so that a port in use is known before anything else starts."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it, an answer takes 40 ms longer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(256)
    except OSError:
        listener.close()
        raise
    return listener


async def _until_signal(app: App, listener: socket.socket, drain_seconds: float, log: logs.Log) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with running(app, listener, drain_seconds, log):
        await stopping.wait()


@contextlib.asynccontextmanager
async def running(app: App, listener: socket.socket, drain_seconds: float, log: logs.Log) -> AsyncIterator[None]:
    """Serve `app` on `listener` for as long as the context is open; leaving it drains, for `drain_seconds` at most."""
    server = _Server(
        uvicorn.Config(
            operations(app),
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=2,
            ws=_WEBSOCKETS if app.api is not None else "none",
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await app.start()
        log.info("service.started", port=listener.getsockname()[1])
        yield
    finally:
        try:
            async with asyncio.timeout(drain_seconds):
                await app.stop()
            log.info("service.stopped")
        except TimeoutError:
            log.warning("service.drain_timed_out", seconds=drain_seconds)
        server.should_exit = True
        await serving


def operations(app: App) -> Starlette:
    """`/healthz`, `/readyz` and `/metrics` of `app`, with its own API below them."""

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_: Request) -> Response:
        missing = app.waiting_for()
        status = "waiting" if missing else "ready"
        return JSONResponse({"status": status, "waiting_for": missing}, status_code=503 if missing else 200)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(app.registry), media_type=CONTENT_TYPE_LATEST)

    routes: list[BaseRoute] = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
    if app.api is not None:
        routes.append(Mount("/", app.api))
    return Starlette(routes=routes)
