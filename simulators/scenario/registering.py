"""Makes a fleet known before it sends: its profiles, its devices, and the rules that are to find its events."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from simulators.faults.inject import Faults
from simulators.plan.plan import Part
from simulators.scenario.spec import Rule
from simulators.scenario.stage import Addresses

_POLL_S = 0.05
_PROFILE_S = 1.0
"""How long a profile may take to reach ingest when the devices have: they come by the same way, one after the other."""

_PATIENCE_S = 60.0
_ENDED = frozenset({"succeeded", "failed", "cancelled"})


class RegistrationError(Exception):
    """A profile, a device or a rule was not taken; the message says which and why."""


class Registering:
    """Asks the APIs at `addresses`. `rest` waits for seconds."""

    def __init__(
        self, client: httpx.AsyncClient, addresses: Addresses, rest: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._client, self._addresses, self._rest = client, addresses, rest

    async def fleet(self, parts: Sequence[Part], themselves: Collection[int] = ()) -> None:
        """Register every device with the profile of its part, and wait until ingest knows them.

        The devices of some parts, by number, register `themselves`.
        """
        profiles: dict[str, Mapping[str, Any]] = {}
        devices: dict[str, str] = {}
        for part in parts:
            for device in part.devices:
                stored = part.format.stored(device, part.model.metrics)
                name = profile_name(part)
                profiles.setdefault(name, profile(part, stored.metrics))
                if device.part not in themselves:
                    devices[stored.device] = name
        for name, body in profiles.items():
            await self._ask("PUT", f"{self._addresses.devices_api}/api/v1/profiles/{name}", json=body)
        await self._devices(devices)
        await self._known(len(devices))

    async def rules(self, rules: Iterable[Rule]) -> dict[str, str]:
        """Make the rules, and wait until alerting judges by them; returns the id of each by its name."""
        before, found = await self._gauge("alerting", "alerting_rules"), {}
        for rule in rules:
            body = {"name": rule.name, **rule.body}
            answer = await self._ask("POST", f"{self._addresses.alerting}/api/v1/rules", json=body)
            found[rule.name] = str(answer["id"])
        await self._reached("alerting", "alerting_rules", before + len(found))
        return found

    async def unrule(self, rules: Iterable[str]) -> None:
        """Delete rules by their ids, where they still are."""
        for rule in rules:
            await self._client.delete(f"{self._addresses.alerting}/api/v1/rules/{rule}")

    async def _devices(self, devices: Mapping[str, str]) -> None:
        rows = [json.dumps({"id": id_, "name": id_, "profile": name}) for id_, name in devices.items()]
        url = f"{self._addresses.devices_api}/api/v1/jobs"
        query = {"format": "jsonl", "mode": "upsert"}
        job = await self._ask("POST", f"{url}/import/devices", params=query, content="\n".join(rows))
        async with asyncio.timeout(_PATIENCE_S + len(devices) / 100):
            while job["state"] not in _ENDED:
                await self._rest(_POLL_S)
                job = await self._ask("GET", f"{url}/{job['id']}")
        if job["state"] != "succeeded" or job["rejected"]:
            report = await self._ask("GET", f"{url}/{job['id']}/report", params={"limit": 1})
            why = report["items"][0] if report["items"] else job["error"]
            raise RegistrationError(f"{job['rejected']} of {len(devices)} devices could not be registered: {why}")

    async def _known(self, devices: int) -> None:
        await self._reached("ingest", "ingest_directory_devices", devices)
        await self._rest(_PROFILE_S)

    async def _reached(self, service: str, name: str, least: float) -> None:
        """Wait until a gauge of a service is at `least` so much, where it can be asked. Raises RegistrationError."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while service in self._addresses.metrics and await self._gauge(service, name) < least:
                    await self._rest(_POLL_S)
        except TimeoutError:
            raise RegistrationError(f"{name} of {service} did not come to {least:.0f} in {_PATIENCE_S:.0f} s") from None

    async def _gauge(self, service: str, name: str) -> float:
        url = self._addresses.metrics.get(service, "")
        try:
            answer = await self._client.get(f"{url}/metrics") if url else None
        except httpx.TransportError:
            answer = None
        families = [] if answer is None else text_string_to_metric_families(answer.text)
        return next((family.samples[0].value for family in families if family.name == name), 0.0)

    async def _ask(self, method: str, url: str, **more: Any) -> Any:  # noqa: ANN401 - any JSON
        try:
            answer = await self._client.request(method, url, **more)
        except httpx.HTTPError as error:
            raise RegistrationError(f"{url} does not answer: {error!r}") from None
        if not answer.is_success:
            raise RegistrationError(f"{method} {url} was refused: {answer.text[:500]}")
        return answer.json()


def profile_name(part: Part) -> str:
    """Name the profile of a part's devices: what they measure, under the names that their format makes of that."""
    return f"{part.model.name}-{part.format.name}"


def profile(part: Part, stored: Mapping[str, str]) -> dict[str, Any]:
    """Describe the metrics of a part as they are stored. `stored` maps those of the model to their names there."""
    faults = part.injector
    limits, untyped = (faults.limits, faults.untyped) if isinstance(faults, Faults) else ({}, set())
    metrics = {}
    for name, stored_as in stored.items():
        if name in untyped:
            continue
        metric = part.model.metrics[name]
        about: dict[str, Any] = {"type": metric.type}
        if metric.unit:
            about["unit"] = metric.unit
        if name in limits:
            about["max" if limits[name] > 0 else "min"] = limits[name]
        metrics[stored_as] = about
    return {"metrics": metrics}
