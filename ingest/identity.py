"""Device ids: how what a convention calls a device becomes one id, and which level of a topic holds it. Pure."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

_ESCAPED = frozenset("%/+#")
_FIELD = re.compile(r"\{([^{}]*)\}")
_LEVEL = re.compile(r"-?[1-9][0-9]?")
_PROPERTY = "property:"
_LONGEST_REMEMBERED = 512


def spell(*parts: str) -> str:
    """Join the parts of an identity with colons to one id that fits a topic level; different parts give different ids.

    In each part `%`, `/`, `+`, `#` and unprintable characters are written `%XX`, byte by byte of UTF-8, and in several
    parts the colon too.
    """
    return (_remembered if sum(map(len, parts)) <= _LONGEST_REMEMBERED else _spell)(*parts)


def _spell(*parts: str) -> str:
    escaped = _ESCAPED if len(parts) == 1 else _ESCAPED | {":"}
    return ":".join("".join(_escape(c) if c in escaped or not c.isprintable() else c for c in part) for part in parts)


_remembered = lru_cache(maxsize=65_536)(_spell)


def _escape(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def mac(text: str) -> str | None:
    """Bring a MAC address to one spelling, upper case with colons; None if it is none."""
    digits = text.replace(":", "").replace("-", "").upper()
    if len(digits) != 12 or any(c not in "0123456789ABCDEF" for c in digits):  # noqa: PLR2004 - 6 bytes
        return None
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


class Template:
    """A route's device id: `{2}` is the topic's second level, `{-1}` its last, `{property:NAME}` an MQTT 5 property.

    Raises ValueError, with what is wrong, for text that is no template.
    """

    def __init__(self, text: str) -> None:
        self._parts = _FIELD.split(text)  # literal, field, literal, field, …, literal
        for field in self._fields:
            if not _LEVEL.fullmatch(field) and not (field.startswith(_PROPERTY) and field != _PROPERTY):
                raise ValueError(f"{{{field}}} is neither a topic level, as {{2}}, nor {{{_PROPERTY}NAME}}")
        if any(set("{}") & set(literal) for literal in self._parts[::2]):
            raise ValueError("a brace is not closed, or not opened")
        self.from_topic = not any(field.startswith(_PROPERTY) for field in self._fields)

    @property
    def deepest(self) -> int:
        """How many levels a topic needs to have, so that each level that is named is there."""
        return max((abs(int(field)) for field in self._fields if _LEVEL.fullmatch(field)), default=0)

    @property
    def _fields(self) -> list[str]:
        return self._parts[1::2]

    def fill(self, levels: Sequence[str], properties: Mapping[str, str]) -> str:
        """Give the id; empty where the message lacks what the template names."""
        out = list(self._parts)
        for at in range(1, len(out), 2):
            out[at] = self._value(out[at], levels, properties)
            if not out[at]:
                return ""
        return "".join(out)

    @staticmethod
    def _value(field: str, levels: Sequence[str], properties: Mapping[str, str]) -> str:
        if field.startswith(_PROPERTY):
            return spell(properties.get(field.removeprefix(_PROPERTY), ""))
        number = int(field)
        index = number - 1 if number > 0 else number
        return levels[index] if -len(levels) <= index < len(levels) else ""
