"""What the demo asks the running stack: its metrics, and its APIs as an operator would."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.stack import Stack
from deploy.local.view import Snapshot
from simulators.running.progress import Progress

_PAGE = 1000


class Observer:
    """Keeps a Snapshot of the stack up to date."""

    def __init__(self, stack: Stack, client: httpx.AsyncClient, seen: Snapshot, fleet: Progress) -> None:
        self._urls, self._client, self.seen, self._fleet = stack.urls, client, seen, fleet
        self._last: tuple[float, int, int] | None = None
        self._began = time.monotonic()

    async def refresh(self) -> None:
        """Ask everything once. What does not answer keeps its last value: services may be killed and come back."""
        await asyncio.gather(self._counts(), self._latest(), self._alerts())

    async def stored(self) -> bool:
        """Ask ingest whether a reading has been stored."""
        return (await self._metrics("ingest")).get("ingest_readings_stored_total", 0) > 0

    async def _counts(self) -> None:
        ingest, processor = await asyncio.gather(*(self._metrics(name) for name in ("ingest", "processor")))
        seen, now = self.seen, time.monotonic()
        seen.elapsed = now - self._began
        seen.published = self._fleet.acked
        seen.stored = int(ingest.get("ingest_readings_stored_total", seen.stored))
        seen.dead_lettered = int(ingest.get("ingest_dead_letters_total", seen.dead_lettered))
        seen.lag = int(processor.get("processor_lag_batches", seen.lag))
        if self._last is not None:
            then, published, stored = self._last
            seen.published_rate = (seen.published - published) / (now - then)
            seen.stored_rate = (seen.stored - stored) / (now - then)
        self._last = now, seen.published, seen.stored

    async def _latest(self) -> None:
        for series in self.seen.series:
            found = await self._get("devices_api", f"/api/v1/devices/{series.device}/telemetry/latest")
            values = found.get("values", {})
            if isinstance(values, dict) and series.metric in values:
                series.values.append(float(values[series.metric]["value"]))

    async def _alerts(self) -> None:
        firing = await self._get("alerting", "/api/v1/alerts", state="firing", limit=_PAGE)
        resolved = await self._get("alerting", "/api/v1/alerts", state="resolved", limit=_PAGE)
        if isinstance(firing.get("items"), list) and isinstance(resolved.get("items"), list):
            self.seen.alerts = [(item["rule"], item["device"], float(item["value"] or 0)) for item in firing["items"]]
            self.seen.resolved = len(resolved["items"])
            self.seen.fired = self.seen.resolved + len(firing["items"])

    async def _metrics(self, name: str) -> Mapping[str, float]:
        """Sum each metric of a service over its labels; empty if the service does not answer."""
        try:
            answer = await self._client.get(f"{self._urls[name]}/metrics")
        except httpx.HTTPError:
            return {}
        totals: dict[str, float] = {}
        for family in text_string_to_metric_families(answer.text):
            for sample in family.samples:
                totals[sample.name] = totals.get(sample.name, 0.0) + sample.value
        return totals

    async def _get(self, name: str, path: str, **query: str | int) -> Mapping[str, Any]:
        try:
            answer = await self._client.get(self._urls[name] + path, params=query)
        except httpx.HTTPError:
            return {}
        return answer.json() if answer.is_success else {}
