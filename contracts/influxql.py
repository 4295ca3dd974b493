"""Statements in InfluxQL, and the answers of servers to them. Pure."""

from collections.abc import Iterable

import msgspec

from contracts.line_layout import TAG
from contracts.readings import Value

_NAME = str.maketrans({'"': r"\"", "\\": r"\\", "\n": r"\n"})
_TEXT = str.maketrans({"'": r"\'", "\\": r"\\", "\n": r"\n"})


def identifier(name: str) -> str:
    """Quote the name of a measurement or field."""
    return f'"{name.translate(_NAME)}"'


def literal(text: str) -> str:
    """Quote text."""
    return f"'{text.translate(_TEXT)}'"


def tagged(tags: Iterable[str]) -> str:
    """Give the condition that the tag of a point, a device as `line_layout.to_tag` writes it, is one of `tags`."""
    return "(" + " OR ".join(f'"{TAG}" = {literal(tag)}' for tag in tags) + ")"


class Table(msgspec.Struct):
    """Points of one measurement and, where a statement groups by tags, of one set of tags; None where there is none.

    The first column is `time`, in ns.
    """

    name: str
    columns: list[str]
    tags: dict[str, str] = {}
    values: list[list[Value | int | None]] = []


class Result(msgspec.Struct):
    """What one statement found; the statements of a request are numbered from 0."""

    statement_id: int = 0
    series: list[Table] = []
    error: str = ""


class Answer(msgspec.Struct):
    """What one request found, or why nothing."""

    results: list[Result] = []
    error: str = ""


_answers = msgspec.json.Decoder(Answer)


def read_answer(data: bytes | str) -> list[Result]:
    """Read an answer in JSON. Raises ValueError with what the server says, or if it is none."""
    answer = _answers.decode(data)
    for error in (answer.error, *(result.error for result in answer.results)):
        if error:
            raise ValueError(error)
    return answer.results
