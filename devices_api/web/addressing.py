"""Which devices a request about telemetry means, by id or by filter; of those, only what its sender may see."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from fastapi import Query

from contracts.problems import Problem
from contracts.requests import bad
from devices_api.access import Principal
from devices_api.lists.filters import Filter
from devices_api.telemetry.timeseries import TimeSeries
from devices_api.web.refusals import unknown_device

if TYPE_CHECKING:
    from devices_api.repository import Repository

MAX_NAMED = 1000
"""Most devices that a request can name."""
LONGEST_NAME = 1024

DeviceNames = Annotated[
    list[Annotated[str, Query(min_length=1, max_length=256)]],
    Query(max_length=MAX_NAMED, description="Device; given once for each", examples=[["still-1", "still-2"]]),
]
MetricNames = Annotated[
    list[Annotated[str, Query(min_length=1, max_length=LONGEST_NAME)]],
    Query(max_length=MAX_NAMED, description="Metric; given once for each. None: all", examples=[["column.t"]]),
]


def too_much(detail: str) -> Problem:
    """Build the answer to a query that would take too much."""
    return Problem(HTTPStatus.BAD_REQUEST, "query-too-large", "The query asks for too much", detail)


@dataclass(frozen=True)
class Addressing:
    """Finds devices in the registry, and asks it for no more than a request needs."""

    registry: "Callable[[], Repository]"
    timeseries: TimeSeries

    async def named(self, who: Principal, devices: Sequence[str], *, zones: bool = False) -> dict[str, str]:
        """Return `devices`, each once, with their time zones if those are wanted; 404 for one that `who` cannot see.

        Somebody who sees everything is not looked up: see `must_exist`.
        """
        named = dict.fromkeys(devices, "")
        if who.view is None and not zones:
            return named
        known = await self.registry().addressed.named(list(named), who.view)
        if who.view is not None:
            for device in named:
                if device not in known:
                    raise unknown_device(device)
        return named | known

    async def filtered(self, who: Principal, meant: Filter | None, after: str, limit: int) -> dict[str, str]:
        """Return the first `limit` devices after `after` that the filter takes, or all, and their time zones; by id."""
        return await self.registry().addressed.page(meant, who.view, after, limit)

    async def must_exist(self, who: Principal, devices: Iterable[str]) -> None:
        """Answer 404 unless each device has data or is registered. Those of a `who` with a view have been looked up."""
        if who.view is not None:
            return
        silent = [device for device in devices if not await self.timeseries.has(device)]
        known = await self.registry().addressed.named(silent, None) if silent else {}
        for device in silent:
            if device not in known:
                raise unknown_device(device)


def one_of(devices: Sequence[str], meant: Filter | None) -> None:
    """Answer 400 unless there are either devices or a filter."""
    if bool(devices) == (meant is not None):
        raise bad("bad-selection", "name devices or give a filter, one of the two")
