"""The configurations that devices_api/README.md shows, for tests to run."""

import re
from collections.abc import Mapping
from pathlib import Path

_README = Path(__file__).parents[2] / "devices_api" / "README.md"


def snippet(name: str, places: Mapping[str, str]) -> str:
    """Give the block that follows the comment `name`, with other text in some places; each has to be there."""
    found = re.search(rf"<!-- {re.escape(name)} -->\n```\n(.*?)```\n", _README.read_text(), re.DOTALL)
    assert found is not None, name
    text = found[1]
    for old, new in places.items():
        assert old in text, old
        text = text.replace(old, new)
    return text
