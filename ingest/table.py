"""The routing table: which decoder reads which topics. The built-in rows are routes.toml; an operator's come first."""

import tomllib
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec

from ingest import filters, formats
from ingest.identity import Template
from ingest.limits import MOST_PAYLOAD

MAX_ROWS = 1_000
MAX_BYTES = 1 << 20


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One route.

    `filters`: the topics. `decoder`: what reads them. `device`: a template for the device id, where the topic or a
    property names it; empty where the decoder knows. `zone` (IANA): for times that name none. `ahead_seconds`: how
    far ahead of ours its devices' clocks may be, and `payload_bytes`: their largest payload, where the settings' do
    not hold. `options`: the decoder's own.
    """

    name: str
    filters: list[str] = []
    decoder: str = "auto"
    device: str = ""
    zone: str = ""
    ahead_seconds: Annotated[float, msgspec.Meta(ge=0)] | None = None
    payload_bytes: Annotated[int, msgspec.Meta(ge=1, le=MOST_PAYLOAD)] | None = None
    enabled: bool = True
    options: dict[str, Any] = {}


class TableError(ValueError):
    """A routing table that cannot be used; the message says where and why."""


@lru_cache(maxsize=1)
def built_in() -> list[Row]:
    """Give the rows that are there without any setting."""
    return _rows(resources.files("ingest").joinpath("routes.toml").read_text(), "routes.toml", {})


def read(path: Path) -> list[Row]:
    """Read an operator's table and put the built-in rows behind it. Raises TableError.

    A row with the name of a built-in one changes what it names of it and leaves the rest.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TableError(f"{path} is larger than {MAX_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"{path} cannot be read: {error}") from error
    given = _rows(text, str(path), {row.name: row for row in built_in()})
    names = {row.name for row in given}
    return given + [row for row in built_in() if row.name not in names]


def _rows(text: str, source: str, known: dict[str, Row]) -> list[Row]:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TableError(f"{source} is not TOML: {error}") from error
    found = table.pop("route", [])
    if table or not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise TableError(f"{source}: only [[route]] is expected{': ' + ', '.join(table) if table else ''}")
    if len(found) > MAX_ROWS:
        raise TableError(f"{source} has {len(found)} routes; {MAX_ROWS} are allowed")
    rows = []
    for number, entry in enumerate(found, start=1):
        where = f"{source}: route {number} ({entry.get('name', 'without name')})"
        before = known.get(str(entry.get("name")))
        try:
            row = msgspec.convert((msgspec.to_builtins(before) if before else {}) | entry, Row)
            _check(row)
        except (msgspec.ValidationError, ValueError) as error:
            raise TableError(f"{where}: {error}") from error
        rows.append(row)
    repeated = {row.name for row in rows if sum(other.name == row.name for other in rows) > 1}
    if repeated:
        raise TableError(f"{source}: more than one route is named {', '.join(sorted(repeated))}")
    return rows


def _check(row: Row) -> None:
    if not row.name:
        raise ValueError("a route needs a name")
    if not row.filters:
        raise ValueError(f"a route needs one or more filters, and no built-in one is named {row.name!r}")
    for text in row.filters:
        if wrong := filters.problem(text):
            raise ValueError(f"the filter {text!r} {wrong}")
    if row.decoder not in formats.NAMES:
        raise ValueError(f"there is no decoder {row.decoder!r}; there are {', '.join(formats.NAMES)}")
    template = Template(row.device)
    for text in row.filters:
        levels = text.split("/")
        if template.deepest > len(levels) and levels[-1] != "#":
            raise ValueError(f"the device {row.device!r} asks for more levels than the filter {text!r} has")
    zone(row.zone)
    if row.options:
        formats.options(row.decoder, row.options)


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo | None:
    """Find a time zone by its IANA name; None for an empty one. Raises ValueError."""
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone {name!r}; use a name like Europe/Berlin") from error
