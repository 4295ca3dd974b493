"""Which parts of which series VictoriaMetrics is asked for in one query. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TypeVar

from contracts.timeseries import HOUR, Kind
from processor.series import Series
from processor.store import Span

Name = tuple[str, str, Kind]
"""Profile, metric and kind: what the samples of all devices have one name for."""

_NEAR = HOUR
"""Spans that are no further apart are read in one query."""
_MOST_BYTES = 4000
"""Bytes of device ids in one query: escaped three times as many, where the server takes 16 KB."""

V = TypeVar("V")


def by_name(series: Iterable[Series]) -> Iterator[tuple[Name, list[Series]]]:
    """Group series whose samples have one name."""

    def key(one: Series) -> tuple[str, str, str]:
        return one.profile, one.metric, one.kind.__name__

    for (profile, metric, _), same in groupby(sorted(series, key=key), key):
        some = list(same)
        yield (profile, metric, some[0].kind), some


def together(spans: Sequence[Span]) -> Iterator[tuple[Name, dict[str, list[Span]]]]:
    """Group spans that one query reads: of one name, and near each other in time; by device."""
    of_series: dict[Series, list[Span]] = {}
    for span in spans:
        of_series.setdefault(span.series, []).append(span)
    for name, same in by_name(of_series):
        near: dict[str, list[Span]] = {}
        end = 0
        for span in sorted((span for one in same for span in of_series[one]), key=lambda span: span.start):
            if near and span.start > end + _NEAR:
                yield name, near
                near = {}
            near.setdefault(span.series.device, []).append(span)
            end = max(end, span.end)
        yield name, near


def chunks(devices: Mapping[str, V]) -> Iterator[dict[str, V]]:
    """Cut what is by device into parts that one query can name."""
    chunk: dict[str, V] = {}
    size = 0
    for device, value in devices.items():
        more = len(device.encode()) + 1
        if chunk and size + more > _MOST_BYTES:
            yield chunk
            chunk, size = {}, 0
        chunk[device] = value
        size += more
    if chunk:
        yield chunk
