"""Finds the store that an address names."""

from contracts.stores import StoreKind, parse_store
from simulators.truth.stores.influx import Influx
from simulators.truth.stores.sqlite import SqliteFile
from simulators.truth.stores.store import Store
from simulators.truth.stores.victoria import Victoria


def opened(address: str, token: str) -> Store:
    """Give the store at `address`, as settings name it. Raises ValueError, with a sentence for people."""
    parsed = parse_store(address)
    if parsed.kind == StoreKind.SQLITE:
        return SqliteFile(parsed.path)
    return Influx(parsed, token) if parsed.kind == StoreKind.INFLUXDB else Victoria(parsed, token)
