"""The `sensorium` command."""

import asyncio
import sys
from pathlib import Path
from random import SystemRandom
from typing import Annotated

import typer

from contracts.settings import STORE
from deploy.cli import alerts, commands, devices, registry, rules, silences, telemetry
from deploy.cli.errors import ApiError
from deploy.local.ports import PortInUseError
from deploy.local.stack import STORE_TOKEN, Options, Stack, StackError
from ingest.cli import decode
from simulators.cli import simulate
from simulators.truth.command import verify

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(simulate)
app.command()(verify)
app.command()(decode)
app.add_typer(devices.app, name="devices")
app.add_typer(telemetry.app, name="telemetry")
app.add_typer(commands.app, name="commands")
app.add_typer(registry.groups, name="groups")
app.add_typer(registry.profiles, name="profiles")
app.add_typer(registry.keys, name="keys")
app.add_typer(registry.jobs, name="jobs")
app.add_typer(alerts.app, name="alerts")
app.add_typer(rules.app, name="rules")
app.add_typer(silences.app, name="silences")

DataDir = Annotated[Path, typer.Option(help="Where everything is kept.")]
Broker = Annotated[str, typer.Option(help="nats, mosquitto, or mqtt://HOST:PORT of a broker that runs already.")]
Store = Annotated[
    str,
    typer.Option(
        help=f"Where time series are kept: {STORE}; its token in {STORE_TOKEN}.",
        show_default="timeseries.sqlite3 in the data directory",
    ),
]
Port = typer.Option(min=1, max=65535)


@app.command()
def up(
    data_dir: DataDir = Path("data"),
    broker: Broker = "nats",
    store: Store = "",
    mqtt_port: Annotated[int, Port] = 1883,
    api_port: Annotated[int, Port] = 8080,
    alerting_port: Annotated[int, Port] = 8081,
    nats_port: Annotated[int, Port] = 4222,
) -> None:
    """Run the whole stack on this machine, on loopback, until Ctrl-C."""
    from rich.console import Console  # noqa: PLC0415 - `sensorium --help` does without

    from deploy.local.up import up as run_up  # noqa: PLC0415 - as above

    options = Options(data_dir, broker, mqtt_port, api_port, alerting_port, nats_port, store)
    console = Console(highlight=False, soft_wrap=True)
    asyncio.run(run_up(Stack(options), console, SystemRandom()))


@app.command()
def demo(
    seconds: Annotated[float, typer.Option(min=0, help="Stop after this long; 0 runs until Ctrl-C.")] = 0,
    devices: Annotated[int, typer.Option(min=3, max=10_000, help="How many devices to simulate.")] = 50,
    seed: Annotated[int, typer.Option(help="The same seed gives the same fleet.")] = 1,
    broker: Broker = "nats",
) -> None:
    """Run the whole stack with a simulated fleet, show it live, and account for every reading at the end."""
    from deploy.local.demo import demo as run_demo  # noqa: PLC0415 - as above

    raise typer.Exit(asyncio.run(run_demo(seconds=seconds, devices=devices, seed=seed, broker=broker)))


def main() -> None:
    """Run the command; what a person can mend is said in one line, and the status is 2."""
    try:
        app()
    except (PortInUseError, StackError, ApiError) as error:
        sys.stderr.write(f"sensorium: {error}\n")
        sys.exit(2)
