"""Which devices a request is about, as a parameter of routes: `chosen: ChosenParam`."""

from typing import Annotated

from fastapi import Depends, Query

from contracts.requests import read
from devices_api.lists import searching
from devices_api.lists.choice import Chosen
from devices_api.web.params import FilterParam

SearchText = Annotated[
    str | None,
    Query(
        max_length=searching.LONGEST,
        description="Devices in whose id, name and tags all of these words occur, whatever their case",
        examples=["north pump"],
    ),
]


def _chosen(filter_: FilterParam, search: SearchText = None) -> Chosen:
    return Chosen(filter_, () if search is None else read("bad-search", searching.words, search))


ChosenParam = Annotated[Chosen, Depends(_chosen)]
