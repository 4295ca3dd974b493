"""`sensorium demo`: the whole stack with a simulated fleet, live, and every reading accounted for at the end."""

import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom

import httpx
from rich.console import Console
from rich.live import Live

from contracts import logs
from contracts.backoff import set_within
from deploy.local import ports
from deploy.local.observe import Observer
from deploy.local.stack import HOST, Options, Stack, StackError
from deploy.local.supervisor import Supervisor
from deploy.local.up import READY_SECONDS, interrupted, ready, running
from deploy.local.view import Series, Snapshot, milliseconds, percentile, render
from simulators.connections import native
from simulators.connections.parties import Broker
from simulators.metrics import Metrics
from simulators.plan.plan import Part
from simulators.running.building import Blueprint
from simulators.running.fleet import Fleet
from simulators.scenario.plain import plain
from simulators.truth.keeping import LedgerError
from simulators.truth.latency import Follower, Sampling
from simulators.truth.stores.api import Api
from simulators.truth.stores.store import StoreError
from simulators.truth.verdict import Verdict
from simulators.truth.verify import verify

now = time.time_ns  # noqa: TID251 - the composition root reads the clock

MALFORMED = 0.01
"""Share of the fleet's messages that are malformed on purpose, so that there are dead letters to look at."""

_REFRESH_S = 0.5
_FOLLOWED_A_SECOND = 5.0
_STOPS_S = 3.0
_NANO_PER_MS = 1e6
_FIRST_S = 0.05
_AT_ONCE = 50
_UNITS = {"environment": ("temperature", "°C"), "meter": ("power", "W"), "pump": ("pressure", "bar")}
_RULES = (
    {
        "name": "pump over pressure",
        "metric": "pressure",
        "operator": "gt",
        "value": 8,
        "clear": 7,
        "severity": "critical",
    },
    {"name": "stuffy room", "metric": "co2", "operator": "gt", "value": 1200, "clear": 1100, "severity": "info"},
)


async def demo(*, seconds: float, devices: int, seed: int, broker: str) -> int:
    """Run the demo for `seconds`, or until Ctrl-C where it is 0. Returns 0, or 1 if a reading was lost."""
    began = time.monotonic()
    console = Console(highlight=False)
    stopping = interrupted()
    with tempfile.TemporaryDirectory(prefix="sensorium-demo-") as directory:
        stack = Stack(_options(Path(directory), broker))
        client = httpx.AsyncClient(headers={"Authorization": f"Bearer {stack.key}"}, timeout=5, trust_env=False)
        async with running(stack, SystemRandom()) as supervisor, client:
            console.print("Starting broker, stream, ingest, processor, devices_api and alerting…")
            blueprint = Blueprint(plain(devices=devices, seed=seed, malformed=MALFORMED, seconds=seconds))
            members = blueprint.parts
            ledger = Path(directory) / "fleet.ledger"
            seen = Snapshot(devices=devices, series=_shown(members))
            async with _follower(stack, seen) as follower:
                fleet = _fleet(stack, blueprint, ledger, Sampling(blueprint.plan, follower, _FOLLOWED_A_SECOND))
                observer = Observer(stack, client, seen, fleet.progress)
                try:
                    beginning = _begin(_Running(stack, supervisor, client, fleet, observer), members, console, began)
                    if not await _unless(stopping, beginning):
                        return 0
                    console.print(_invitation(stack, members), soft_wrap=True)  # lines that work when pasted
                    await _watch(observer, console, stopping, seconds)
                finally:
                    await fleet.stop(_STOPS_S)
                console.print("Asking the query API for every reading that the fleet sent…")
                patience = 10.0 if seconds else 3.0  # after Ctrl-C all has to be over within 10 s
                verdict = await _verified(ledger, stack.urls["devices_api"], stack.key, wait_seconds=patience)
                await observer.refresh()
    _summarise(console, verdict, seen)
    return 0 if verdict.ok and verdict.published else 1


def _options(directory: Path, broker: str) -> Options:
    """Take the usual ports where they are free, and others beside a stack that runs already."""
    return Options(
        data_dir=directory,
        broker=broker,
        mqtt_port=ports.preferred_or_free(HOST, 1883),
        api_port=ports.preferred_or_free(HOST, 8080),
        alerting_port=ports.preferred_or_free(HOST, 8081),
        nats_port=ports.preferred_or_free(HOST, 4222),
    )


async def _unless(stopping: asyncio.Event, work: Awaitable[None]) -> bool:
    """Wait for `work`, or give it up when `stopping` is set; returns whether it was finished."""
    working, stopped = asyncio.ensure_future(work), asyncio.create_task(stopping.wait())
    await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not working.done():
        working.cancel()
        return False
    await working
    return True


async def _verified(ledger: Path, url: str, key: str, *, wait_seconds: float) -> Verdict:
    api = Api(url, key)
    try:
        return await verify(ledger, api, api, wait_seconds=wait_seconds)
    except (StoreError, LedgerError) as error:
        raise StackError(f"the readings could not be looked up: {error}") from error
    finally:
        await api.close()


def _follower(stack: Stack, seen: Snapshot) -> Follower:
    """Measure, of a sample of messages, publish → queryable."""
    return Follower(
        stack.urls["devices_api"], stack.key, now, told=lambda _, took: seen.latencies_ms.append(took / _NANO_PER_MS)
    )


def _fleet(stack: Stack, blueprint: Blueprint, ledger: Path, follow: Sampling) -> Fleet:
    log = logs.quiet()
    connect = native.connecting(
        Broker(stack.mqtt_host, stack.mqtt_port), login=lambda _: None, now=now, rng=SystemRandom(), log=log
    )
    return blueprint.fleet(
        {"native": connect},
        ledger=blueprint.ledger(ledger, now(), log),
        metrics=Metrics(),
        now=now,
        log=log,
        follow=follow,
    )


@dataclass(frozen=True)
class _Running:
    """What runs while the demo does."""

    stack: Stack
    supervisor: Supervisor
    client: httpx.AsyncClient
    fleet: Fleet
    observer: Observer


async def _begin(demo: _Running, members: Sequence[Part], console: Console, began: float) -> None:
    """Register the fleet and let it run as soon as its readings can be taken; make the rules beside it."""

    async def run() -> None:
        await _let_run(demo, members)
        console.print(f"First reading stored {time.monotonic() - began:.1f} s after the start.")

    try:
        await asyncio.gather(run(), _make_rules(demo.stack, demo.supervisor, demo.client))
    except (TimeoutError, httpx.HTTPError) as error:
        raise StackError(f"the fleet could not begin: {error!r} (logs: {demo.stack.directory / 'logs'})") from error


async def _let_run(demo: _Running, members: Sequence[Part]) -> None:
    await ready(demo.stack, demo.supervisor, ("ingest", "devices_api"))
    url = f"{demo.stack.urls['devices_api']}/api/v1/devices"
    bodies = [{"id": d.id, "name": d.id, "profile": part.model.name} for part in members for d in part.devices]
    for some in range(0, len(bodies), _AT_ONCE):
        asked = (demo.client.post(url, json=body) for body in bodies[some : some + _AT_ONCE])
        for answer in await asyncio.gather(*asked):
            answer.raise_for_status()
    demo.fleet.start()
    async with asyncio.timeout(READY_SECONDS):
        while not await demo.observer.stored():  # noqa: ASYNC110 - ingest is asked over HTTP
            await asyncio.sleep(_FIRST_S)


async def _make_rules(stack: Stack, supervisor: Supervisor, client: httpx.AsyncClient) -> None:
    await ready(stack, supervisor)
    for rule in _RULES:
        (await client.post(f"{stack.urls['alerting']}/api/v1/rules", json=rule)).raise_for_status()


def _invitation(stack: Stack, members: Sequence[Part]) -> str:
    """Say where the APIs are, with two lines to paste."""
    bearer = f'curl -s -H "Authorization: Bearer {stack.key}"'
    return (
        f"\nDevices API {stack.urls['devices_api']}/docs   alerting API {stack.urls['alerting']}/docs\n"
        f"API key {stack.key}\n"
        f"Try, in another terminal:\n"
        f"{bearer} {stack.urls['devices_api']}/api/v1/devices/{members[0].devices[0].id}/telemetry/latest\n"
        f'{bearer} "{stack.urls["alerting"]}/api/v1/alerts?state=firing"\n'
    )


def _shown(members: Sequence[Part]) -> list[Series]:
    """Choose two devices of each kind for the screen."""
    found: list[Series] = []
    for kind, (metric, unit) in _UNITS.items():
        found += [Series(d.id, metric, unit) for part in members if part.model.name == kind for d in part.devices][:2]
    return found


async def _watch(observer: Observer, console: Console, stopping: asyncio.Event, seconds: float) -> None:
    """Show the stack at work until `seconds` have passed, or `stopping` is set."""
    footer = "Ctrl-C stops the demo and accounts for every reading."
    with contextlib.suppress(TimeoutError), _screen(console) as live:
        async with asyncio.timeout(seconds or None):
            while not stopping.is_set():
                await observer.refresh()
                if live is not None:
                    live.update(render(observer.seen, footer), refresh=True)
                await set_within(stopping, _REFRESH_S)


@contextlib.contextmanager
def _screen(console: Console) -> Iterator[Live | None]:
    """Draw on a terminal; where the output goes to a file or a pipe there is nothing to draw on."""
    if not console.is_terminal:
        yield None
        return
    with Live(console=console, auto_refresh=False) as live:
        yield live


def _summarise(console: Console, verdict: Verdict, seen: Snapshot) -> None:
    p50, p99 = percentile(seen.latencies_ms, 0.5), percentile(seen.latencies_ms, 0.99)
    console.print(
        f"\n[bold]Every reading that the broker acknowledged, as the query API has it:[/]\n"
        f"  published             {verdict.published:>8}\n"
        f"  stored                {verdict.stored:>8}\n"
        f"  dead-lettered         {verdict.dead_lettered:>8}   malformed on purpose, kept with the reason\n"
        f"  duplicates            {verdict.duplicates:>8}\n"
        f"  lost                  {verdict.lost:>8}   of these with another value: {verdict.wrong}\n"
        f"  good and rejected     {verdict.rejected:>8}\n"
        f"  publish → queryable   p50 {milliseconds(p50)}, p99 {milliseconds(p99)} "
        f"({len(seen.latencies_ms)} messages followed)\n"
        f"  alerts                {seen.fired} fired, {seen.resolved} resolved\n"
    )
    for example in verdict.examples:
        console.print(f"  {example}", markup=False)
    result = {
        "published": verdict.published,
        "stored": verdict.stored,
        "dead_lettered": verdict.dead_lettered,
        "duplicates": verdict.duplicates,
        "lost": verdict.lost,
        "latency_p50_ms": None if p50 is None else round(p50, 1),
        "latency_p99_ms": None if p99 is None else round(p99, 1),
        "alerts_fired": seen.fired,
        "alerts_resolved": seen.resolved,
    }
    console.out(json.dumps(result), highlight=False)
