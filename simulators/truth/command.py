"""`sensorium verify`: what became of everything that a ledger says was sent."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.settings import STORE, fail

if TYPE_CHECKING:
    from simulators.truth.verdict import Verdict

KEY, STORE_TOKEN = "SENSORIUM_KEY", "SENSORIUM_STORE_TOKEN"


def verify(
    ledger: Annotated[Path, typer.Argument(help="What `sensorium simulate` has written.")],
    *,
    url: Annotated[
        str, typer.Option(envvar="SENSORIUM_URL", help="Where the devices API is.")
    ] = "http://127.0.0.1:8080",
    key_file: Annotated[Path, typer.Option(help=f"File with the API's key; {KEY} goes before it.")] = Path(
        "data/admin.key"
    ),
    store: Annotated[
        str, typer.Option(help=f"Ask the store itself for points, not the API: {STORE}; its token in {STORE_TOKEN}.")
    ] = "",
    wait: Annotated[float, typer.Option(min=0, help="How many seconds to wait for what is not there yet.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Nothing but the JSON object.")] = False,
) -> None:
    """Look for every point that a ledger says was sent, and for what should not be there; the last line is JSON.

    Exits with 1 if there is any mistake, and with 2 if it cannot be told. Dead letters are asked for at the API.
    """
    from simulators.truth.keeping import LedgerError  # noqa: PLC0415 - `sensorium --help` does without
    from simulators.truth.report import document, lines  # noqa: PLC0415 - as above
    from simulators.truth.stores.store import StoreError  # noqa: PLC0415 - as above

    key = os.environ.get(KEY, "") or _read(key_file, needed=not store)
    try:
        asked, verdict = asyncio.run(_verify(ledger, url, key, store, wait))
    except ValueError as error:
        fail(f"--store: {error}")
    except (LedgerError, StoreError) as error:
        fail(str(error))
    if not as_json:
        for line in lines(verdict, asked):
            sys.stdout.write(f"{line}\n")
    sys.stdout.write(json.dumps(document(verdict)) + "\n")
    raise typer.Exit(0 if verdict.ok else 1)


async def _verify(ledger: Path, url: str, key: str, store: str, wait: float) -> tuple[str, "Verdict"]:
    from simulators.truth.stores.api import Api  # noqa: PLC0415 - as above
    from simulators.truth.stores.opening import opened  # noqa: PLC0415 - as above
    from simulators.truth.verify import verify as run  # noqa: PLC0415 - as above

    api = Api(url, key) if key else None
    place = opened(store, os.environ.get(STORE_TOKEN, "")) if store else api
    assert place is not None  # noqa: S101 - without a store there has to be a key
    try:
        verdict = await run(ledger, place, api, wait_seconds=wait)
    finally:
        await place.close()
        if api is not None:
            await api.close()
    return place.name, verdict


def _read(path: Path, *, needed: bool) -> str:
    try:
        key, why = path.read_text().strip(), f"{path} is empty"
    except (OSError, UnicodeDecodeError) as error:
        key, why = "", str(error)
    if needed and not key:
        fail(f"--key-file: there is no key: set {KEY}, or name the file that has it: {why}")
    return key
