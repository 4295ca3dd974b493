"""Files that commands send and write, and the jobs that take in what was sent."""

import sys
import time
from pathlib import Path
from typing import Any

import typer

from deploy.cli.session import Session

_ENDED = frozenset({"succeeded", "failed", "cancelled"})
_LOOKS_S = 0.5


def written(session: Session, path: str, query: dict[str, Any], out: Path | None) -> None:
    """Write what is at `path` to a file, which appears once it is whole, or to standard output."""
    if out is None:
        session.api.download(path, query, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    part = out.with_name(f"{out.name}.part")
    try:
        with part.open("wb") as file:
            session.api.download(path, query, file)
        part.replace(out)
    except OSError as error:
        raise typer.BadParameter(f"{out}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def started(session: Session, path: str, file: Path, format_: str, query: dict[str, Any]) -> None:
    """Send a file that a job takes in, and wait for its end. Exits with 1 where a row was rejected."""
    kind = format_ or file.suffix.removeprefix(".")
    try:
        with file.open("rb") as content:
            job = session.api.upload(path, {**query, "format": kind}, content)
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}") from error
    finished(session, job)


def finished(session: Session, job: dict[str, Any]) -> None:
    """Wait for a job's end, and tell what came of it."""
    while job["state"] not in _ENDED:
        time.sleep(_LOOKS_S)
        job = session.api.get(f"/jobs/{job['id']}")
    session.out.one(job)
    if job["rejected"] and not session.out.for_programs:
        sys.stderr.write(f"what was rejected: sensorium jobs report {job['id']}\n")
    if job["state"] != "succeeded" or job["rejected"]:
        raise typer.Exit(1)
