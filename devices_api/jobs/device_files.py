"""Devices in files: CSV and JSON Lines, read row by row by the API's own model of a device, and written likewise.

In CSV an empty cell says nothing. `tags`, `attributes` and `calibration` hold a JSON object; instead of the first two
there may be a column for each tag (`tags.site`) and attribute (`attributes.serial`, which is JSON or else text).
Groups are separated by `;`, and `;` alone means none.
"""

import json
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, cast

from pydantic import ValidationError

from contracts.settings import said
from devices_api.jobs.records import Record, TextFile, by_column, header, parsed, written
from devices_api.registry.devices import Change, Device, NewDevice
from devices_api.web.profileschemas import show_calibrations
from devices_api.web.schemas import DeviceIn

PLAIN = ("id", "name", "profile", "enabled", "zone")
_PLACE = ("location.latitude", "location.longitude")
_OBJECTS = ("tags", "attributes", "calibration")
COLUMNS = (*PLAIN, "groups", *_PLACE, *_OBJECTS)
"""The columns of CSV as it is written."""
_PREFIXES = ("tags.", "attributes.")


class TextFormat(StrEnum):
    """How rows are written."""

    CSV = "csv"
    JSONL = "jsonl"


class Row(NamedTuple):
    """A row: the device that it would register, and what it says of one that there is; or what is wrong with it."""

    number: int
    id: str
    new: NewDevice | None
    change: Change
    problem: str = ""


class DeviceFile:
    """A file of devices. Raises BadFileError if its columns are not known."""

    def __init__(self, path: Path, format_: TextFormat) -> None:
        self._file = TextFile(path, quotes=format_ is TextFormat.CSV)
        self._columns: list[str] | None = None
        self.begin = self._file.begin
        if format_ is TextFormat.CSV:
            with self._file.closed_on_error():
                self._columns, self.begin = header(self._file, frozenset(COLUMNS), _PREFIXES)

    def count(self) -> int:
        """Count the rows."""
        return sum(1 for _ in self._file.records(self.begin))

    def rows(self, offset: int, number: int) -> Iterator[tuple[Row, int]]:
        """Give the rows from `offset` on, the first of which has `number`, and where the next one begins."""
        for at, record in enumerate(self._file.records(offset), number):
            yield _row(at, record, self._columns), record.end

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _row(number: int, record: Record, columns: list[str] | None) -> Row:
    if record.problem:
        return Row(number, "", None, {}, record.problem)
    id_ = ""
    try:
        content = parsed(record.text) if columns is None else _content(columns, record.text)
        if isinstance(content, dict) and isinstance(content.get("id"), str):
            id_ = content["id"]
        given = DeviceIn.model_validate(content)
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, e['loc'])) or 'row'}: {said(e['msg'])}" for e in error.errors(include_url=False)]
        return Row(number, id_, None, {}, "; ".join(wrong))
    except ValueError as error:
        return Row(number, id_, None, {}, str(error))
    new = given.content()
    said_of = given.model_fields_set - {"id", "location"} - ({"name"} if given.name is None else set())
    if "location" in given.model_fields_set:
        said_of |= {"latitude", "longitude"}
    return Row(number, new.id, new, cast("Change", {name: getattr(new, name) for name in said_of}))


def _content(columns: list[str], text: str) -> dict[str, Any]:
    given = by_column(columns, text)
    content: dict[str, Any] = {name: given[name] for name in PLAIN if name in given}
    if "groups" in given:
        content["groups"] = [part for name in given["groups"].split(";") if (part := name.strip())]
    place = {name.partition(".")[2]: given[name] for name in _PLACE if name in given}
    if place:
        content["location"] = place
    for name in _OBJECTS:
        if name in given:
            content[name] = _json(name, given[name])
    for name, value in given.items():
        whole, dot, key = name.partition(".")
        if dot and name not in _PLACE:
            if whole in given:
                raise ValueError(f"there is a column {whole}, so {name} has to be empty")
            content.setdefault(whole, {})[key] = value if whole == "tags" else _json_or_text(value)
    return content


def _json(name: str, text: str) -> object:
    try:
        return parsed(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _json_or_text(text: str) -> object:
    try:
        return parsed(text)
    except ValueError:
        return text


def begin(format_: TextFormat) -> bytes:
    """Write what comes before the devices."""
    return written(list(COLUMNS)).encode() if format_ is TextFormat.CSV else b""


def lines(format_: TextFormat, devices: Iterable[Device]) -> bytes:
    """Write devices so that reading them says the same of them."""
    write = _csv if format_ is TextFormat.CSV else _jsonl
    return "".join([write(device) for device in devices]).encode()


def _jsonl(device: Device) -> str:
    location = None
    if device.latitude is not None and device.longitude is not None:
        location = {"latitude": device.latitude, "longitude": device.longitude}
    content = {name: getattr(device, name) for name in (*PLAIN, "groups", "tags", "attributes")}
    return _dumped(content | {"calibration": _calibration(device), "location": location}) + "\n"


def _csv(device: Device) -> str:
    objects = {"tags": device.tags, "attributes": device.attributes, "calibration": _calibration(device)}
    place = ["" if at is None else repr(at) for at in (device.latitude, device.longitude)]
    plain = [device.id, device.name, device.profile, "true" if device.enabled else "false", device.zone]
    return written([*plain, ";".join(device.groups), *place, *map(_dumped, objects.values())])


def _calibration(device: Device) -> dict[str, Any]:
    return {
        metric: [entry.model_dump(mode="json") for entry in show_calibrations(entries)]
        for metric, entries in device.calibration.items()
    }


def _dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
