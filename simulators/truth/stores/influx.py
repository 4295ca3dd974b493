"""InfluxDB, asked in InfluxQL."""

from collections.abc import AsyncIterator

import numpy as np

from contracts.influxql import Table, identifier, read_answer, tagged
from contracts.line_layout import TAG, from_name, metric_of, profile_of, to_tag
from contracts.stores import StoreAddress
from contracts.timeseries import Kind, Tier
from simulators.truth.stores.asking import PATIENCE_S, Server
from simulators.truth.stores.store import Found, StoreError

_PAGE = 20_000
_MISSING = ("database not found", "retention policy not found")


class Influx:
    """A bucket, in which every point is as it was written."""

    resolution, digits = 1, 17

    def __init__(self, address: StoreAddress, token: str, patience: float = PATIENCE_S) -> None:
        self.name = f"InfluxDB at {address.url}"
        database, _, policy = address.bucket.partition("/")
        self._form = {"db": database, "epoch": "ns"} | ({"rp": policy} if policy else {})
        self._server = Server(address.url, {"Authorization": f"Token {token}"} if token else {}, patience=patience)

    async def points(self, device: str, start: int, end: int) -> AsyncIterator[Found]:
        """Give every point of `device` with `start` <= ts < `end` (ns)."""
        for (name,) in await self._ask("SHOW MEASUREMENTS"):
            if profile_of(str(name))[1] is not Tier.RAW:
                continue
            of, at = f"FROM {identifier(str(name))} WHERE {tagged([to_tag(device)])}", start
            while at < end:
                within = f"time >= {at} AND time < {end}"
                tables = await self._tables(f"SELECT * {of} AND {within} GROUP BY * ORDER BY time LIMIT {_PAGE}")
                for table in tables:
                    for found in _found(table):
                        yield found
                rows = [table.values[-1][0] for table in tables if len(table.values) >= _PAGE]
                at = end if not rows else 1 + max(row for row in rows if isinstance(row, int))

    async def devices(self) -> set[str]:
        """Name all of which something is stored."""
        return {from_name(str(value)) for _, value in await self._ask(f'SHOW TAG VALUES WITH KEY = "{TAG}"')}

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()

    async def _ask(self, statement: str) -> list[list[object]]:
        return [list(row) for table in await self._tables(statement) for row in table.values]

    async def _tables(self, statement: str) -> list[Table]:
        answer = await self._server.post("/query", {**self._form, "q": statement})
        try:
            return [table for result in read_answer(answer or b"{}") for table in result.series]
        except ValueError as error:
            if any(missing in str(error) for missing in _MISSING):
                return []
            raise StoreError(f"{self.name} answers: {error}") from error


def _found(table: Table) -> list[Found]:
    found = []
    times = np.array([row[0] for row in table.values], dtype=np.int64)
    for column, field in enumerate(table.columns[1:], 1):
        named = metric_of(field)
        if named is None:
            continue
        metric, kind = named
        there = [place for place, row in enumerate(table.values) if row[column] is not None]
        found.append(Found(metric, times[there], [_value(kind, table.values[place][column]) for place in there]))
    return found


def _value(kind: Kind, value: object) -> float | bool | str:
    return str(value) if kind is str else bool(value) if kind is bool else float(value)  # type: ignore[arg-type]  # a number
