"""Exports as text: CSV and JSON Lines, a line a point. Pure.

A number is written with as many digits as it takes to read the same float64 again.
"""

import re
from collections.abc import Callable

import msgspec

from contracts.readings import Value
from contracts.times import format_time
from devices_api.telemetry.exporting import Encoder, Format, Page

COLUMNS = ("device", "metric", "ts", "number", "boolean", "text")
_SPECIAL = re.compile(r'[",\r\n]')
_json = msgspec.json.Encoder()


class CsvLines:
    """CSV as RFC 4180 has it, with a header. Of the last three columns one holds the value, by its kind.

    Where neither a number nor a boolean stands, the value is a text, be it empty.
    """

    def begin(self) -> bytes:
        """Give the header."""
        return f"{','.join(COLUMNS)}\r\n".encode()

    def take(self, page: Page) -> bytes:
        """Write a line a point."""
        name = f"{_quoted(page.device)},{_quoted(page.metric)},"
        return "".join([f"{name}{format_time(ts)},{_columns(value)}\r\n" for ts, value in page.points]).encode()

    def end(self) -> bytes:
        """Give nothing."""
        return b""


class JsonLines:
    """JSON Lines: an object a point. JSON tells numbers, booleans and texts apart."""

    def begin(self) -> bytes:
        """Give nothing."""
        return b""

    def take(self, page: Page) -> bytes:
        """Write a line a point."""
        name = f'{{"device":{_written(page.device)},"metric":{_written(page.metric)},"ts":"'
        lines = [f'{name}{format_time(ts)}","value":{_written(value)}}}\n' for ts, value in page.points]
        return "".join(lines).encode()

    def end(self) -> bytes:
        """Give nothing."""
        return b""


def _columns(value: Value) -> str:
    if isinstance(value, bool):
        return ",true," if value else ",false,"
    return f",,{_quoted(value)}" if isinstance(value, str) else f"{value!r},,"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _SPECIAL.search(text) else text


def _written(value: Value) -> str:
    return _json.encode(value).decode()


ENCODERS: dict[Format, Callable[[], Encoder]] = {Format.CSV: CsvLines, Format.JSONL: JsonLines}
