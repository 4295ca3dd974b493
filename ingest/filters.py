"""MQTT topic filters: which topics one matches, and how two of them relate. Pure."""

MAX_BYTES = 1024
"""Longest filter that is taken."""


def problem(text: str) -> str | None:
    """Why `text` is no topic filter, or None."""
    levels = text.split("/")
    if not text or "\0" in text:
        return "is empty" if not text else "holds a null character"
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return f"is longer than {MAX_BYTES} bytes"
    if any("#" in level and level != "#" for level in levels) or "#" in levels[:-1]:
        return "has a # that is not the whole last level"
    if any("+" in level and level != "+" for level in levels):
        return "has a + that is not a whole level"
    return None


def matches(levels: list[str], topic: list[str]) -> bool:
    """Whether the filter with these levels matches the topic with those. `$…` is matched by name only."""
    if topic[0].startswith("$") and levels[0] in ("+", "#"):
        return False
    if levels[-1] == "#":
        levels = levels[:-1]
        return len(topic) >= len(levels) and _same(levels, topic)
    return len(topic) == len(levels) and _same(levels, topic)


def _same(levels: list[str], topic: list[str]) -> bool:
    return all(level in ("+", part) for level, part in zip(levels, topic, strict=False))


def specificity(levels: list[str]) -> tuple[int, ...]:
    """Sort key: the filter that says more, from the first level on, comes first."""
    return (*({"+": 1, "#": 3}.get(level, 0) for level in levels), 2)


def covers(wide: list[str], narrow: list[str]) -> bool:
    """Whether `wide` matches every topic that the filter `narrow` does."""
    if narrow[0].startswith("$") and wide[0] in ("+", "#"):
        return False
    for at, level in enumerate(wide):
        if level == "#":
            return True
        if at >= len(narrow) or narrow[at] == "#" or (level != "+" and level != narrow[at]):
            return False
    return len(narrow) == len(wide)


def overlap(one: list[str], other: list[str]) -> bool:
    """Whether there are topics that both filters match."""
    for at in range(max(len(one), len(other))):
        a = one[at] if at < len(one) else None
        b = other[at] if at < len(other) else None
        if "#" in (a, b):
            return True
        if a is None or b is None or (a != b and "+" not in (a, b)):
            return False
    return True


def fewest(filters: list[str]) -> list[str]:
    """Leave out each filter that another one covers, so that no message comes twice for it."""
    split = {text: text.split("/") for text in dict.fromkeys(filters)}
    wide: dict[str, list[list[str]]] = {}  # those with wildcards, which alone cover others, by their first level
    for levels in split.values():
        if "+" in levels or levels[-1] == "#":
            wide.setdefault(levels[0], []).append(levels)
    return [
        text
        for text, levels in split.items()
        if not any(
            other is not levels and covers(other, levels)
            for first in (levels[0], *({"+", "#"} - {levels[0]}))
            for other in wide.get(first, ())
        )
    ]
