"""`sensorium simulate`: the fleet from the command line, and what became of what it sent."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.live import Live
from rich.text import Text

from contracts import logs
from contracts.settings import explain, fail
from simulators.app import App
from simulators.ledger import LedgerError
from simulators.sender import Progress
from simulators.settings import Settings

STALLED_S = 60.0
"""The fleet gives up when the broker has acknowledged nothing for so long."""

SETTLE_S = 30.0
_TICK_S = 0.25
_NANO = 1e9


def simulate(  # noqa: PLR0913 - one parameter an option
    *,
    devices: Annotated[int, typer.Option(min=1, help="How many devices, of three kinds in turn.")] = 50,
    rate: Annotated[float, typer.Option(min=0, help="Messages a second of each device; 0: flat out.")] = 1.0,
    seconds: Annotated[float, typer.Option(min=0, help="How long; 0: until Ctrl-C.")] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed sends the same values.")] = 1,
    mqtt_host: Annotated[str, typer.Option(help="The broker's host.")] = "127.0.0.1",
    mqtt_port: Annotated[int, typer.Option(min=1, max=65535, help="The broker's port.")] = 1883,
    ledger: Annotated[Path, typer.Option(help="File that records every message sent.")] = Path("data/ledger.sqlite3"),
    malformed: Annotated[float, typer.Option(min=0, max=1, help="Share of messages malformed on purpose.")] = 0.0,
    first: Annotated[int, typer.Option(min=0, help="Index of the first device, for several processes.")] = 0,
    connections: Annotated[int, typer.Option(min=1, help="Most MQTT connections; more devices share them.")] = 64,
    window: Annotated[int, typer.Option(min=1, help="Most unacknowledged messages of one connection.")] = 1000,
) -> None:
    """Run a fleet of simulated devices; the last line printed is one JSON object.

    Exits with 1 if the broker did not acknowledge everything. A broker's user name and password are taken from
    SIMULATORS_MQTT_USERNAME and SIMULATORS_MQTT_PASSWORD.
    """
    try:
        settings = Settings(
            devices=devices,
            rate=rate,
            seconds=seconds,
            seed=seed,
            mqtt_host=mqtt_host,
            mqtt_port=mqtt_port,
            ledger=str(ledger),
            malformed=malformed,
            first=first,
            connections=connections,
            window=window,
        )
    except ValidationError as error:
        fail("\n".join(explain(Settings, error)))
    try:
        outcome = asyncio.run(_run(App(settings, logs.configure("simulators", "warning")), settings))
    except LedgerError as error:
        fail(f"--ledger: {error}")
    _report(outcome)
    raise typer.Exit(0 if outcome.whole else 1)


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `unsent` says that the schedule was given up before its end."""

    progress: Progress
    reconnects: int
    interrupted: bool
    unsent: bool

    @property
    def whole(self) -> bool:
        """Whether everything was sent, unless someone stopped it, and all of it acknowledged."""
        return self.progress.acked == self.progress.published and not self.unsent


async def _run(app: App, settings: Settings) -> Outcome:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    await app.start()
    sender = app.sender
    assert sender is not None  # noqa: S101 - start has made it
    ended, stopped = asyncio.create_task(sender.done.wait()), asyncio.create_task(stopping.wait())
    unsent = False
    try:
        with _line() as show:
            acked, moved = -1, loop.time()
            while not (sender.done.is_set() or stopping.is_set()):
                if sender.progress.acked != acked:
                    acked, moved = sender.progress.acked, loop.time()
                if loop.time() - moved > max(STALLED_S, 3 / (settings.rate or 1)):
                    unsent = True
                    break
                show(_describe(sender.progress, settings, waiting=bool(app.waiting_for())))
                await asyncio.wait({ended, stopped}, timeout=_TICK_S, return_when=asyncio.FIRST_COMPLETED)
        if not (stopping.is_set() or unsent):
            await app.settled(SETTLE_S)
    finally:
        ended.cancel()
        stopped.cancel()
        await app.stop()
    return Outcome(sender.progress, app.reconnects, stopping.is_set(), unsent)


@contextlib.contextmanager
def _line() -> Iterator[Callable[[str], None]]:
    """Give a function that shows one line of progress; it does nothing where nobody watches."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda _: None
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda text: live.update(Text(text), refresh=True)


def _describe(progress: Progress, settings: Settings, *, waiting: bool) -> str:
    broker = f"broker at {settings.mqtt_host}:{settings.mqtt_port}"
    if not progress.began:
        return f"Waiting for the {broker}…"
    seconds = (progress.ended - progress.began) / _NANO
    behind = f", {progress.behind_s:.1f} s behind" if progress.behind_s > 1 else ""
    away = f"; waiting for the {broker}" if waiting else ""
    return f"{seconds:6.1f} s  {progress.published} published, {progress.acked} acknowledged{behind}{away}"


def _report(outcome: Outcome) -> None:
    """Print a summary, and the same as JSON."""
    progress = outcome.progress
    seconds = (progress.ended - progress.began) / _NANO
    rate = progress.published / seconds if seconds else 0.0
    sys.stdout.write(
        f"{progress.published} messages published in {seconds:.1f} s ({rate:.0f}/s), {progress.acked} acknowledged, "
        f"{progress.malformed} malformed on purpose, at most {progress.worst_behind_s:.3f} s behind schedule.\n"
    )
    if outcome.unsent:
        sys.stdout.write(f"Given up: the broker acknowledged nothing for {STALLED_S:.0f} s.\n")
    result = {
        "published": progress.published,
        "acked": progress.acked,
        "seconds": round(seconds, 3),
        "rate": round(rate, 1),
        "malformed": progress.malformed,
        "reconnects": outcome.reconnects,
        "worst_behind_s": round(progress.worst_behind_s, 3),
        "interrupted": outcome.interrupted,
    }
    sys.stdout.write(json.dumps(result) + "\n")
