"""VictoriaMetrics, asked for samples."""

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
import numpy as np

from contracts.line_layout import TAG, from_name, measurement_of, metric_of, to_tag
from contracts.stores import StoreAddress
from contracts.timeseries import Kind, Tier
from contracts.victoria_layout import PROFILE, TICK, points_of, selector
from simulators.truth.stores.asking import PATIENCE_S, Server
from simulators.truth.stores.store import Found, StoreError

_NAMES = 50


class _Series(msgspec.Struct):
    metric: dict[str, str]
    values: list[float]
    timestamps: list[int]


_series = msgspec.json.Decoder(_Series).decode_lines


class Victoria:
    """A server, which keeps times in ms and twelve digits of numbers; of several points in one ms it keeps one."""

    resolution, digits = TICK, 12

    def __init__(self, address: StoreAddress, token: str, patience: float = PATIENCE_S) -> None:
        self.name = f"VictoriaMetrics at {address.url}"
        self._server = Server(address.url, {"Authorization": f"Bearer {token}"} if token else {}, patience=patience)

    async def points(self, device: str, start: int, end: int) -> AsyncIterator[Found]:
        """Give every point of `device` with `start` <= ts < `end` (ns)."""
        span = {"start": _seconds(start // TICK), "end": _seconds(-(-end // TICK) - 1)}
        mine = f"{TAG}={_text(device)}"
        for profile in map(from_name, await self._labels(PROFILE, f"{{{mine}}}", span)):
            prefix = f"{measurement_of(profile, Tier.RAW)}_"
            names = await self._labels("__name__", f"{{{PROFILE}={_text(profile)},{mine}}}", span)
            raw = [name for name in names if name.startswith(prefix)]
            for first in range(0, len(raw), _NAMES):
                match = selector(raw[first : first + _NAMES], profile, [device])
                for found in self._found(prefix, await self._read("/api/v1/export", {"match[]": match, **span})):
                    yield found

    async def devices(self) -> set[str]:
        """Name all of which something is stored."""
        return set(map(from_name, await self._labels(TAG, f'{{{PROFILE}!=""}}', {"start": "1"})))

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()

    def _found(self, prefix: str, lines: bytes) -> list[Found]:
        series: dict[tuple[str, Kind], list[tuple[dict[str, str], list[tuple[int, float]]]]] = defaultdict(list)
        for one in _series(lines):
            named = metric_of(one.metric["__name__"].removeprefix(prefix))
            if named is not None:
                series[named].append((one.metric, list(zip(one.timestamps, one.values, strict=True))))
        found = []
        for (metric, kind), samples in series.items():
            points = points_of(kind, samples)
            found.append(Found(metric, np.array(list(points), dtype=np.int64) * TICK, list(points.values())))
        return found

    async def _labels(self, label: str, match: str, span: Mapping[str, str]) -> list[str]:
        answer: Any = msgspec.json.decode(await self._read(f"/api/v1/label/{label}/values", {"match[]": match, **span}))
        return sorted(answer["data"])

    async def _read(self, path: str, form: Mapping[str, str]) -> bytes:
        answer = await self._server.post(path, form)
        if answer is None:
            raise StoreError(f"{self.name} does not know {path}")
        return answer


def _text(name: str) -> str:
    return json.dumps(to_tag(name), ensure_ascii=False)


def _seconds(ms: int) -> str:
    return f"{max(0, ms) // 1000}.{max(0, ms) % 1000:03d}"
