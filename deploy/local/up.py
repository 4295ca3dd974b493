"""`sensorium up`: start the stack, wait until it is ready, keep it running until a signal."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Sequence
from random import Random

import httpx
from rich.console import Console

from deploy.local.stack import Stack, StackError
from deploy.local.supervisor import Supervisor

READY_SECONDS = 60.0
SERVICES = ("ingest", "processor", "devices_api", "alerting")


@contextlib.asynccontextmanager
async def running(stack: Stack, rng: Random) -> AsyncIterator[Supervisor]:
    """Run the stack's programs for as long as the context is open."""
    supervisor = Supervisor(stack.directory, rng)
    try:
        for program in stack.programs():
            supervisor.start(program)
        yield supervisor
    finally:
        await supervisor.stop()


async def ready(stack: Stack, supervisor: Supervisor, services: Sequence[str] = SERVICES) -> None:
    """Wait until `services` say that they are ready. Raises StackError, which says what is missing and why."""
    missing: dict[str, str] = {}
    try:
        async with asyncio.timeout(READY_SECONDS), httpx.AsyncClient(timeout=2, trust_env=False) as client:
            while missing := await _missing(stack, client, services):
                for name, restarts in supervisor.restarts.items():
                    if restarts > 2:  # noqa: PLR2004 - once or twice may be a race; three times is a fault
                        raise StackError(f"{name} does not start:\n{supervisor.log_tail(name)}")
                await asyncio.sleep(0.05)
    except TimeoutError:
        waits = "\n".join(
            f"{name} waits for {what}; what it says is\n  {supervisor.complaint(name)}"
            for name, what in missing.items()
        )
        raise StackError(f"not ready after {READY_SECONDS:.0f} s (logs: {stack.directory / 'logs'})\n{waits}") from None


async def _missing(stack: Stack, client: httpx.AsyncClient, services: Sequence[str]) -> dict[str, str]:
    missing = {}
    for name in services:
        try:
            answer = await client.get(f"{stack.urls[name]}/readyz")
        except httpx.HTTPError:
            missing[name] = "its own start"
            continue
        if not answer.is_success:
            missing[name] = ", ".join(answer.json()["waiting_for"])
    return missing


def interrupted() -> asyncio.Event:
    """Return an event that SIGINT and SIGTERM set. A second signal does what it does by default."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def note() -> None:
        event.set()
        for number in numbers:
            loop.remove_signal_handler(number)

    for number in numbers:
        loop.add_signal_handler(number, note)
    return event


async def up(stack: Stack, console: Console, rng: Random) -> None:
    """Run the stack until a signal, and say where it is."""
    stopping = interrupted()
    async with running(stack, rng) as supervisor:
        waiting = asyncio.create_task(ready(stack, supervisor))
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait({waiting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            await waiting
            console.print(addresses(stack))
        else:
            waiting.cancel()
        await stopped
        console.print("Stopping…")


def addresses(stack: Stack) -> str:
    """Tell a person where everything is."""
    options = stack.options
    return (
        f"Sensorium is ready. Ctrl-C stops it; its data is in {stack.directory}.\n"
        f"  devices publish to   mqtt://{stack.mqtt_host}:{stack.mqtt_port}  on devices/DEVICE/telemetry\n"
        f"  devices API          {stack.urls['devices_api']}/docs\n"
        f"  alerting API         {stack.urls['alerting']}/docs\n"
        f"  time series          {stack.store}\n"
        f"  stream server        nats://127.0.0.1:{options.nats_port}\n"
        f"  API key              {stack.key_file}\n"
        "Try:\n"
        f'  curl -H "Authorization: Bearer $(cat {stack.key_file})" {stack.urls["devices_api"]}/api/v1/devices'
    )
