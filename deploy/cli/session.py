"""What each command of an API is given: a client with a key, and where to print."""

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from deploy.cli.show import Output

if TYPE_CHECKING:
    from deploy.cli.api import Api


@dataclass(frozen=True)
class Service:
    """An API: its name, where it is where nobody says, the variable that says so, and its paths' beginning."""

    name: str
    url: str
    variable: str
    prefix: str = "/api/v1"


DEVICES_API = Service("devices API", "http://127.0.0.1:8080", "SENSORIUM_URL")
ALERTING = Service("alerting API", "http://127.0.0.1:8081", "SENSORIUM_ALERTING_URL")

DataDir = Annotated[Path, typer.Option(help="Where admin.key is; SENSORIUM_KEY goes before it.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on a terminal, too.")]
KEY = "SENSORIUM_KEY"
"""The environment alone has the key: arguments are seen by everybody on the machine."""

_INTERRUPTED = 130


@dataclass(frozen=True)
class Session:
    """The API, and standard output."""

    api: "Api"
    out: Output


def command(
    app: typer.Typer, name: str, service: Service = DEVICES_API
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command of a function whose first parameter is a Session; the options of a session are added."""

    def add(work: Callable[..., None]) -> Callable[..., None]:
        def run(
            context: typer.Context,
            *,
            url: str,
            data_dir: Path,
            as_json: bool,
            **given: Any,  # noqa: ANN401 - what the command takes
        ) -> None:
            from deploy.cli.api import Api, read_key  # noqa: PLC0415 - httpx takes long to import

            api = Api(url, read_key(os.environ.get(KEY, ""), data_dir), context.obj, service.name, service.prefix)
            try:
                work(Session(api, Output(as_json=as_json)), **given)
            except KeyboardInterrupt as interrupt:
                raise typer.Exit(_INTERRUPTED) from interrupt

        own = list(inspect.signature(work).parameters.values())[1:]
        where = Annotated[str, typer.Option(envvar=service.variable, help=f"Where the {service.name} is.")]
        options = [
            inspect.Parameter("url", inspect.Parameter.KEYWORD_ONLY, default=service.url, annotation=where),
            inspect.Parameter("data_dir", inspect.Parameter.KEYWORD_ONLY, default=Path("data"), annotation=DataDir),
            inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=AsJson),
        ]
        first = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        hints = get_type_hints(work, include_extras=True)
        keyword = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[one.name]) for one in own]
        every = [first, *keyword, *options]
        run.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]  # what typer reads
        run.__annotations__ = {one.name: one.annotation for one in every}
        run.__doc__ = work.__doc__
        app.command(name)(run)
        return work

    return add
