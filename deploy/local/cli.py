"""The `sensorium` command."""

import asyncio
import sys
from pathlib import Path
from random import SystemRandom
from typing import Annotated, Literal

import typer

from contracts.settings import STORE
from deploy.cli import alerts, commands, devices, registry, rules, silences, telemetry
from deploy.cli.errors import ApiError
from deploy.local.ports import PortInUseError
from deploy.local.stack import STORE_TOKEN, Options, Stack, StackError
from ingest.cli import decode
from simulators.truth.command import verify

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
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
Client = Literal["native", "paho"]
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
def simulate(  # noqa: PLR0913 - one parameter an option
    *,
    scenario: Annotated[
        str, typer.Argument(help="A scenario that is shipped, by its name, or the path of one of your own.")
    ] = "",
    shipped: Annotated[bool, typer.Option("--list", help="List the scenarios that are shipped.")] = False,
    stack: Annotated[bool, typer.Option(help="Start a stack for it, as is done for a scenario by itself.")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Use the stack that runs there.")] = None,
    mqtt_host: Annotated[str, typer.Option(help="The broker's host.")] = "127.0.0.1",
    mqtt_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="The broker's port.", show_default="1883")
    ] = None,
    url: Annotated[str, typer.Option(help="Base URL of the devices API; its key in SENSORIUM_KEY.")] = "",
    alerting_url: Annotated[str, typer.Option(help="Base URL of the alerting API, with the same key.")] = "",
    report: Annotated[
        Path | None, typer.Option(help="Folder for the report.", show_default="reports/NAME of a scenario")
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(
            help="File that records what is sent, after what it holds.",
            show_default="a new one beside the report, or data/fleet.ledger",
        ),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0, help="How long; a scenario is stretched or cut to that. 0: until Ctrl-C.")
    ] = None,
    scale: Annotated[float, typer.Option(min=0.001, help="So many times as many devices of a scenario.")] = 1.0,
    seed: Annotated[int | None, typer.Option(help="The same seed sends the same values.", show_default="1")] = None,
    devices: Annotated[int, typer.Option(min=1, help="Without a scenario: how many, of three models in turn.")] = 50,
    rate: Annotated[float, typer.Option(min=0.001, help="Without one: messages a second of each device.")] = 1.0,
    malformed: Annotated[float, typer.Option(min=0, max=1, help="Without one: share that is malformed.")] = 0.0,
    first: Annotated[int, typer.Option(min=0, help="Without one: index of the first device.")] = 0,
    connections: Annotated[int, typer.Option(min=1, help="Without one: most connections, which are shared.")] = 64,
    client: Annotated[Client, typer.Option(help="Without one: what connects.")] = "native",
    window: Annotated[int, typer.Option(min=1, max=60_000, help="Most unacknowledged of one connection.")] = 1000,
) -> None:
    """Run a simulated fleet: a scenario, with what fails and what is expected, or a plain one from options.

    The last line printed is one JSON object. Exits with 1 if something is not as expected, or was not acknowledged. A
    broker's user name and password are taken from SIMULATORS_MQTT_USERNAME and SIMULATORS_MQTT_PASSWORD; with
    SIMULATORS_MQTT_TLS=true devices speak TLS, and trust the authorities in SIMULATORS_MQTT_TLS_CA.
    """
    from deploy.local import simulate as simulating  # noqa: PLC0415 - `sensorium --help` does without

    if shipped:
        typer.echo(simulating.listed())
        return
    wanted = simulating.Options(
        scenario=scenario,
        devices=devices,
        rate=rate,
        seconds=seconds,
        scale=scale,
        seed=seed,
        malformed=malformed,
        first=first,
        connections=connections,
        client=client,
        window=window,
        mqtt_host=mqtt_host,
        mqtt_port=mqtt_port,
        url=url,
        alerting_url=alerting_url,
        data_dir=data_dir,
        stack=stack,
        ledger=ledger,
        report=report,
    )
    raise typer.Exit(simulating.simulate(wanted))


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


@app.command()
def capacity(  # noqa: PLR0913 - options
    *,
    low: Annotated[float, typer.Option("--from", min=1, help="Messages a second to begin with.")] = 1000,
    high: Annotated[float, typer.Option("--to", min=1, help="The highest rate that is tried.")] = 50_000,
    seconds: Annotated[float, typer.Option(min=1, help="How long each rate is tried.")] = 30,
    p99: Annotated[float, typer.Option(min=0.01, help="Longest publish → queryable of 99 %, in s.")] = 2.0,
    within: Annotated[float, typer.Option(min=0.01, max=1, help="Stop when the rate is known to this share.")] = 0.1,
    devices: Annotated[int, typer.Option(min=1, max=100_000, help="How many devices share the rate.")] = 1000,
    connections: Annotated[int, typer.Option(min=1, max=1000, help="How many connections the devices share.")] = 8,
    model: Annotated[str, typer.Option(help="A model of the simulators, or its file; three: three numbers.")] = "three",
    format_: Annotated[str, typer.Option("--format", help="The format in which they publish.")] = "json",
    broker: Annotated[str, typer.Option(help="mosquitto or nats.")] = "mosquitto",
    store: Store = "",
    seed: Annotated[int, typer.Option(help="The same seed gives the same messages.")] = 1,
    compare_command: Annotated[
        str, typer.Option(help="Starts another subscriber; {mqtt_host} and {mqtt_port} are filled in.")
    ] = "",
    compare_query: Annotated[str, typer.Option(help="Prints how many points that has stored.")] = "",
) -> None:
    """Find the highest rate that a stack on this machine holds, and what a message costs each of its processes.

    A rate holds if nothing is lost, 99 % can be queried in time, and nothing piles up. With --compare-command, another
    subscriber gets the same load from a broker of its own. The last line is one JSON object.
    """
    from deploy.local.capacity import Search  # noqa: PLC0415 - as above
    from deploy.local.capacity import capacity as run_capacity  # noqa: PLC0415 - as above

    asked = Search(
        low=low,
        high=max(low, high),
        seconds=seconds,
        p99=p99,
        within=within,
        devices=devices,
        connections=connections,
        model=model,
        format=format_,
        broker=broker,
        store=store,
        seed=seed,
        compare_command=compare_command,
        compare_query=compare_query,
    )
    raise typer.Exit(asyncio.run(run_capacity(asked)))


def main() -> None:
    """Run the command; what a person can mend is said in one line, and the status is 2."""
    try:
        app()
    except (PortInUseError, StackError, ApiError) as error:
        sys.stderr.write(f"sensorium: {error}\n")
        sys.exit(2)
