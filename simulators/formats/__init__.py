"""Wire formats: how devices of each convention publish what they measure. Pure.

One file a convention; `wire` says what each promises, and `FORMATS` names them.
"""

from collections.abc import Callable

from simulators.formats.json import Json
from simulators.formats.wire import Format

FORMATS: dict[str, Callable[[], Format]] = {
    "json": Json,
}
"""What makes each format, by its name. Parts of a fleet that share gateways share one instance: it counts for them."""


def format_named(name: str) -> Format:
    """Make a format. Raises ValueError, with the names that there are."""
    if name not in FORMATS:
        raise ValueError(f"there is no format {name!r}; there are {', '.join(sorted(FORMATS))}")
    return FORMATS[name]()
