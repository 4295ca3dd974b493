"""The words, texts and numbers that a filter is written with. Pure."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from devices_api.errors import FilterError

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
    | (?P<text>"(?:[^"\\]|\\.)*")
    | (?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?(?![\w.]))
    | (?P<word>[^\W\d][\w-]*(?:\.(?:[\w-]+|"(?:[^"\\]|\\.)*"))*)
    | (?P<sign>[(),])
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Token:
    """A piece of a filter; the last has the kind "end"."""

    at: int
    kind: str
    text: str

    @property
    def word(self) -> str:
        """The token as a keyword, whatever its case."""
        return self.text.lower() if self.kind == "word" else self.text if self.kind == "sign" else ""


def split(text: str) -> Iterator[Token]:
    """Cut a filter into tokens. Raises FilterError."""
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            what = (
                "a text that does not end"
                if text[at] == '"'
                else f"{text[at : at + 20]!r}, which is no part of filters"
            )
            raise error_at(at, f"found {what}")
        if match.lastgroup != "space":
            yield Token(at, str(match.lastgroup), match.group())
        at = match.end()
    yield Token(at, "end", "")


def unquote(quoted: str, at: int) -> str:
    """Read a text in double quotes, with JSON's escapes, that begins at `at`. Raises FilterError."""
    try:
        text = str(json.loads(quoted, strict=False))
        text.encode()
    except ValueError as error:
        raise error_at(at, f"{quoted[:40]} has an escape that JSON does not have") from error
    if "\0" in text:
        raise error_at(at, "no text has the character U+0000")
    return text


def error_at(at: int, what: str) -> FilterError:
    """Build an error about what begins at `at`, counted from 0."""
    return FilterError(f"the filter at character {at + 1}: {what}")
