"""Routes that list and count devices."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Self

from fastapi import APIRouter, Query, Response
from msgspec import json, structs
from pydantic import BaseModel, Field

from contracts.requests import Cursor, PageLimit, read
from contracts.times import format_time
from devices_api.lists.buckets import Bucket
from devices_api.lists.buckets import By as Grouping
from devices_api.lists.choice import Order, read_cursor, write_cursor
from devices_api.registry.devices import ListedDevice
from devices_api.web.access import Reader
from devices_api.web.chosen import ChosenParam
from devices_api.web.schemas import DeviceOut, Next

if TYPE_CHECKING:
    from devices_api.repository import Repository

_json = json.Encoder()

Sort = Annotated[
    str,
    Query(
        max_length=32,
        description="A field that a device has one value of; - before it: descending",
        examples=["-updated"],
    ),
]
By = Annotated[
    str,
    Query(max_length=128, description="profile, group, state, enabled or tags.KEY", examples=["profile", "tags.site"]),
]


class DevicePage(BaseModel):
    """Devices in the order that was asked for."""

    items: list[DeviceOut]
    next: Next


def _item(device: ListedDevice) -> dict[str, object]:
    """Show a device as DeviceOut does, without the three times that pydantic takes for a page."""
    item = structs.asdict(device)
    for name in ("created", "updated", "last_changed", "last_seen", "deleted"):
        if item[name] is not None:
            item[name] = format_time(item[name])
    latitude, longitude = item.pop("latitude"), item.pop("longitude")
    known = latitude is not None and longitude is not None
    return item | {"location": {"latitude": latitude, "longitude": longitude} if known else None}


class BucketOut(BaseModel):
    """How many devices have a value."""

    value: Annotated[str | bool | None, Field(description="null: those that have none")]
    devices: Annotated[int, Field(description="How many; of a group, those in groups below it as well")]
    direct: Annotated[int | None, Field(description="Of a group: how many are in it itself")]

    @classmethod
    def of(cls, bucket: Bucket) -> Self:
        """Show a bucket."""
        return cls(**vars(bucket))


class CountsOut(BaseModel):
    """How many devices there are, by a value of theirs: the most frequent values first."""

    total: int
    items: list[BucketOut]
    other: Annotated[int, Field(description="Devices that are in none of these, because there are more values")]


def routes(registry: "Callable[[], Repository]") -> APIRouter:
    """Build the routes on `registry`."""
    router = APIRouter(tags=["devices"])

    @router.get("/devices", response_model=DevicePage)
    async def list_devices(
        who: Reader, chosen: ChosenParam, sort: Sort = "id", limit: PageLimit = 100, cursor: Cursor = None
    ) -> Response:
        """List devices; those that are deleted only if the filter asks for it.

        Devices that come, go and change meanwhile neither repeat nor displace others.
        """
        order = read("bad-sort", Order.parse, sort)
        after = None if cursor is None else read("bad-cursor", lambda text: read_cursor(chosen, order, text), cursor)
        page = await registry().lists.page(who.view, chosen, order, after, limit)
        following = None if page.end is None else write_cursor(chosen, order, page.end)
        content = _json.encode({"items": [_item(device) for device in page.devices], "next": following})
        return Response(content, media_type="application/json")

    @router.get("/device-counts")
    async def count_devices(who: Reader, chosen: ChosenParam, by: By, limit: PageLimit = 100) -> CountsOut:
        """Count devices by profile, group, state, enabled or a tag."""
        field = read("bad-by", Grouping.parse, by)
        counts = await registry().lists.counts(who.view, chosen, field, limit)
        return CountsOut(
            total=counts.total, items=[BucketOut.of(bucket) for bucket in counts.buckets], other=counts.other
        )

    return router
