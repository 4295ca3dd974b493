"""Search over ids, names and tags: every word has to occur, in any of them, whatever the case. Pure."""

from collections.abc import Mapping

LONGEST = 256
MOST_WORDS = 10
"""Characters and words of a search at most."""


def search_text(id_: str, name: str, tags: Mapping[str, str]) -> str:
    """Write what of a device is searched. A tag is `key=value`, so that a word may be either, or both."""
    return "\n".join([id_, name, *(f"{key}={value}" for key, value in tags.items())]).casefold()


def words(search: str) -> tuple[str, ...]:
    """Read the words of a search, as they are in `search_text`. Raises ValueError with a sentence for the caller."""
    found = tuple(sorted(set(search.casefold().split())))
    if len(search) > LONGEST or len(found) > MOST_WORDS:
        raise ValueError(f"a search has at most {MOST_WORDS} words and {LONGEST} characters")
    if "\0" in search:
        raise ValueError("no text has the character U+0000")
    return found
