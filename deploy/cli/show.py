"""What the command line prints: tables on a terminal, JSON where it is read by programs."""

import itertools
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_FIRST = 1000
"""So many rows decide how wide a table is; those behind it are a table of their own."""


class Output:
    """Standard output. With `as_json`, or where it is no terminal: lists as one JSON object a line."""

    def __init__(self, *, as_json: bool) -> None:
        self._json = as_json or not sys.stdout.isatty()

    def rows(self, columns: Sequence[str], items: Iterable[Mapping[str, Any]]) -> None:
        """Print a list, of which a table shows `columns`."""
        if self._json:
            for item in items:
                self.line(item)
            return
        from rich.console import Console  # noqa: PLC0415 - only tables need it
        from rich.table import Table  # noqa: PLC0415 - as above

        console, rest = Console(), iter(items)
        shown = False
        while some := list(itertools.islice(rest, _FIRST)):
            table = Table(*columns, box=None, pad_edge=False, header_style="bold")
            for item in some:
                table.add_row(*(_cell(item.get(column)) for column in columns))
            console.print(table)
            shown = True
        if not shown:
            console.print("nothing", style="dim")

    def one(self, item: Mapping[str, Any]) -> None:
        """Print one thing: a line a field on a terminal."""
        if self._json:
            self.line(item)
            return
        from rich.console import Console  # noqa: PLC0415 - as above
        from rich.table import Table  # noqa: PLC0415 - as above

        table = Table(box=None, show_header=False, pad_edge=False)
        for name, value in item.items():
            table.add_row(f"[bold]{name}[/bold]", _cell(value))
        Console().print(table)

    def line(self, item: Mapping[str, Any]) -> None:
        """Print one JSON object, at once."""
        sys.stdout.write(json.dumps(item, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def done(self, text: str) -> None:
        """Say that something was done, to people."""
        if not self._json:
            sys.stdout.write(f"{text}\n")

    @property
    def for_programs(self) -> bool:
        """Whether JSON is printed."""
        return self._json


def _cell(value: object) -> Any:  # noqa: ANN401 - rich's Text, which is imported late
    from rich.text import Text  # noqa: PLC0415 - as above

    if value is None:
        return Text("")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, dict):
        return Text(" ".join(f"{name}={_plain(of)}" for name, of in value.items()))
    if isinstance(value, list):
        return Text(" ".join(map(_plain, value)))
    return Text(str(value))


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
