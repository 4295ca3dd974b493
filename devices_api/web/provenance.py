"""The route that tells where a reading came from."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from contracts.requests import Cursor, TimeParam, read
from contracts.times import format_time
from devices_api.cursors import encode_cursor, number_position
from devices_api.telemetry.provenance import Deliveries
from devices_api.telemetry.timeseries import TimeSeries
from devices_api.web.access import Reader
from devices_api.web.refusals import unknown_device
from devices_api.web.schemas import Next, Time, Value

if TYPE_CHECKING:
    from devices_api.repository import Repository

_LIST = "provenance"


class StoredOut(BaseModel):
    """A point as it is stored: the last delivery is what counts."""

    profile: str
    value: Value
    received: Time
    flags: dict[str, str]


class DeliveryOut(BaseModel):
    """A delivery that is still on the stream TELEMETRY. `route` is the row of the routing table that read it."""

    sequence: int
    profile: str
    value: Value
    received: Time
    flags: dict[str, str]
    route: str


class LookedOut(BaseModel):
    """Where deliveries were looked for: sequence numbers of one partition.

    The stream keeps a message until every service has read it, which takes seconds. So a delivery that is not found
    there was read by all; `route` is then not known any more.
    """

    stream: str
    partition: int
    first: int
    last: int


class ProvenanceOut(BaseModel):
    """Where a reading came from. `stored` is null where the time-series store does not keep what came with a point."""

    device: str
    metric: str
    ts: Time
    stored: list[StoredOut] | None
    deliveries: list[DeliveryOut]
    looked: LookedOut
    next: Next


def routes(registry: "Callable[[], Repository]", timeseries: TimeSeries, deliveries: Deliveries) -> APIRouter:
    """Build the route on `timeseries` and `deliveries`."""
    router = APIRouter(prefix="/devices/{device_id}/telemetry", tags=["telemetry"])

    @router.get("/provenance")
    async def provenance(
        who: Reader,
        device_id: str,
        metric: Annotated[str, Query(min_length=1, max_length=256)],
        ts: TimeParam,
        cursor: Cursor = None,
    ) -> ProvenanceOut:
        """Tell when a reading was received, its flags, its profile, its route, and every delivery still on the stream.

        The stream is looked through in parts: while there is a next one, more deliveries may come.
        """
        if await registry().get(device_id, who.view) is None and (
            who.view is not None or not await timeseries.has(device_id)
        ):
            raise unknown_device(device_id)
        at = 0 if cursor is None else read("bad-cursor", lambda text: number_position(_LIST, text), cursor)
        stored = await timeseries.kept(device_id, metric, ts)
        looked = await deliveries.look(device_id, metric, ts, at)
        return ProvenanceOut(
            device=device_id,
            metric=metric,
            ts=format_time(ts),
            stored=None
            if stored is None
            else [
                StoredOut(profile=one.profile, value=one.value, received=format_time(one.received), flags=one.flags)
                for one in stored
            ],
            deliveries=[
                DeliveryOut(
                    sequence=sequence,
                    profile=reading.profile,
                    value=reading.values[metric],
                    received=format_time(reading.received),
                    flags=reading.flags,
                    route=reading.route,
                )
                for sequence, reading in looked.found
            ],
            looked=LookedOut(stream="TELEMETRY", partition=looked.partition, first=looked.first, last=looked.last),
            next=None if looked.next is None else encode_cursor(_LIST, looked.next),
        )

    return router
