"""Payloads that are one plain value: a number, a word, text. Pure."""

import json

from contracts.deadletters import Reason
from contracts.readings import Value
from ingest.jsons import BOM
from ingest.limits import Limits
from ingest.outcomes import Ignored
from ingest.values import Refused, from_text

_INFINITE = "is infinite, which is no number"
_LITERALS: dict[str, Value | Refused | Ignored] = {
    "true": True,
    "false": False,
    "null": Ignored.NO_VALUE,
    "Infinity": Refused(Reason.BAD_VALUE, _INFINITE),
    "-Infinity": Refused(Reason.BAD_VALUE, _INFINITE),
}

TRUE_WORDS = frozenset({"true", "on", "yes", "open", "online", "home"})
FALSE_WORDS = frozenset({"false", "off", "no", "closed", "offline", "not_home"})


def text_of(payload: bytes) -> str | Refused:
    """Read a payload as text, less a byte order mark and the white space around it."""
    try:
        return payload.removeprefix(BOM).decode().strip()
    except UnicodeDecodeError as error:
        return Refused(Reason.MALFORMED, f"is not UTF-8: {error.reason} at byte {error.start}")


def value_of(payload: bytes, limits: Limits) -> tuple[Value | Refused | Ignored, str]:
    """Read one plain value, and give with it the text that it stood in.

    Ignored.EMPTY for an empty payload, Ignored.NO_VALUE for a word that says there is none.
    """
    text = text_of(payload)
    if isinstance(text, Refused):
        return text, ""
    if not text:
        return Ignored.EMPTY, ""
    if text in _LITERALS:
        return _LITERALS[text], text
    if text[0] in "{[":
        return Refused(Reason.MALFORMED, "is an object or array; this topic takes one plain value"), text
    if text[0] == '"':
        try:
            text = json.loads(text)
        except (ValueError, RecursionError) as error:
            return Refused(Reason.MALFORMED, f"begins with a quote and is no JSON text: {error}"), text
    found = from_text(text, limits)
    return Ignored.NO_VALUE if found is None else found, text


def truth_of(text: str) -> bool | None:
    """Read a word that a convention promises to be a boolean, in any case; None if it is none."""
    word = text.lower()
    return True if word in TRUE_WORDS else False if word in FALSE_WORDS else None


def label(value: object, longest: int = 256) -> str:
    """Give a name, a unit or the like, out of JSON, as text that can be kept; empty if it is none."""
    return value if type(value) is str and len(value) <= longest and value.isprintable() else ""
