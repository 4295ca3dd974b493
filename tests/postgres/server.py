"""A PostgreSQL server of the tests' own: no TCP, its socket in a directory of its own, nothing synced to disk."""

import contextlib
import itertools
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import need, wait_until

_SETTINGS = ("listen_addresses=", "fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=50")


class Postgres:
    """A running server, without databases of ours at first."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = itertools.count(1)

    def database(self) -> str:
        """Make a database with nothing in it; returns its URL for SQLAlchemy."""
        name = f"test_{next(self._numbers)}"
        createdb = [_program("createdb"), "-h", str(self._directory), "-U", "postgres", "-T", "template0", name]
        subprocess.run(createdb, check=True, capture_output=True)
        return f"postgresql+asyncpg://postgres@/{name}?host={self._directory}"


@contextlib.contextmanager
def postgres_server(directory: Path) -> Iterator[Postgres]:
    """Run a server whose files are in `directory`, until the end."""
    initdb, postgres = _program("initdb"), _program("postgres")
    prefix = _not_as_root(directory)
    data = directory / "data"
    subprocess.run(
        [*prefix, initdb, "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True,
        capture_output=True,
    )
    options = [part for setting in (*_SETTINGS, f"unix_socket_directories={directory}") for part in ("-c", setting)]
    log = (directory / "log").open("wb")
    process = subprocess.Popen([*prefix, postgres, "-D", str(data), *options], stdout=log, stderr=log)
    try:
        ready = [_program("pg_isready"), "-q", "-h", str(directory)]
        wait_until(lambda: subprocess.run(ready, check=False).returncode == 0, "PostgreSQL takes connections", 60)
        yield Postgres(directory)
    finally:
        process.terminate()
        process.wait()
        log.close()


def _program(name: str) -> str:
    """Find a program of the newest server that is installed: Debian keeps them off the path."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(installed[-1]) if installed else need(name, "postgresql")


def _not_as_root(directory: Path) -> list[str]:
    """Give what a command is begun with so that it runs as another user than root, which PostgreSQL refuses to."""
    if os.getuid() != 0:
        return []
    user = pwd.getpwnam("postgres")
    shutil.chown(directory, user.pw_uid, user.pw_gid)
    return [need("setpriv", "util-linux"), f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
