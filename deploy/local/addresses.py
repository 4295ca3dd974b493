"""Where a running stack is found by those who know its data directory: `addresses.json`, beside `run.json`."""

import json
from collections.abc import Mapping
from pathlib import Path

NAME = "addresses.json"


def write(directory: Path, mqtt: tuple[str, int], urls: Mapping[str, str]) -> None:
    """Write the broker's address and the base URLs of the services."""
    scratch = directory / f"{NAME}.new"
    scratch.write_text(json.dumps({"mqtt_host": mqtt[0], "mqtt_port": mqtt[1], "urls": dict(urls)}, indent=1) + "\n")
    scratch.replace(directory / NAME)


def read(directory: Path) -> tuple[tuple[str, int], dict[str, str]]:
    """Read what `write` wrote. Raises OSError or ValueError."""
    try:
        found = json.loads((directory / NAME).read_text())
        return (str(found["mqtt_host"]), int(found["mqtt_port"])), {str(k): str(v) for k, v in found["urls"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{directory / NAME} is not what a stack writes: {error!r}") from None
