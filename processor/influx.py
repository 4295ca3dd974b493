"""The store in an InfluxDB server: it knows no transactions, and of one point the last write wins.

A write sends the points, then all windows, and returns from `commit` when the server has them on disk. A window's row
has a time of its own for each owner of the partition, and for each request of which nobody knows when the server does
it (see contracts.line_layout.row_time): of what comes late, nothing overwrites what is newer.
"""

import re
from collections.abc import Collection, Mapping, Sequence

from contracts.deletions import Deletion
from contracts.devices import DEFAULT_PROFILE
from contracts.influxql import Table, identifier, tagged
from contracts.line_layout import FLAGS, aggregate_of, measurement_of, metric_of, profile_of, to_tag
from contracts.readings import Reading, Value
from contracts.timeseries import DAY, HOUR, MINUTE, ROLLUPS, WIDTHS, Kind, Tier
from processor.influx_client import InfluxClient, RejectedError, TooLargeError
from processor.influx_reads import MOST_STATEMENTS, Plan, Statement, newest_statements, points_of, requests, windows_of
from processor.lines import LineWriter, Row
from processor.series import NEVER, UNKNOWN, Series
from processor.store import Refusal, Span, Taken, any_of
from processor.windows import Window

TIMEOUT_S = 30.0

_MOST_BYTES = 1_000_000
"""Largest request, before it is compressed: a busy server gives up on one that takes it longer than ten seconds."""
_UNSURE_BITS = 14
"""Of a row's time, so many bits tell the requests apart of which it is not known what became of them."""
_LONGEST_DAY = DAY + 2 * HOUR
_DROPPED = re.compile(r"dropped=([0-9]+)")


class InfluxStore:
    """The store in one bucket, for processor.store.Store. Raises StoreUnavailableError with what the server says.

    `url` without a path, as `http://127.0.0.1:8086`; `token` may read and write `bucket` of `org`, which has to be
    there and to keep its data for ever: what is too old is dropped by profile and tier. `timeout` in seconds.
    """

    def __init__(self, url: str, token: str, org: str, bucket: str, timeout: float = TIMEOUT_S) -> None:
        self._client = InfluxClient(url, token, org, bucket, timeout)
        self._lines = LineWriter()
        self._epochs: dict[int, int] = {}
        self._fences: dict[int, int] = {}
        self._rows: list[Row] = []

    def open(self) -> None:
        """See whether the server answers, and has the bucket."""
        self._client.query(
            f"SELECT * FROM {identifier(measurement_of(DEFAULT_PROFILE, Tier.RAW))} WHERE time = 0 LIMIT 1"
        )

    def close(self) -> None:
        """Close the connections."""
        self._rows.clear()
        self._client.close()

    def abort(self) -> None:
        """Forget what was not sent yet."""
        self._rows.clear()

    def begin(self, epochs: Mapping[int, int]) -> bool:
        """Begin; False if one of these partitions was not last written to by this store in the same epoch."""
        self._rows.clear()
        ours = all(self._epochs.get(partition) == epoch for partition, epoch in epochs.items())
        self._epochs.update(epochs)
        unsure = min(self._client.unsure, (1 << _UNSURE_BITS) - 1)
        self._fences = {partition: (epoch << _UNSURE_BITS) + unsure for partition, epoch in epochs.items()}
        return ours

    def learn(self, series: Series) -> None:
        """Say that what is stored of the series is not known: many are read together later."""
        series.newest = UNKNOWN

    def find(
        self,
        profile: str,  # noqa: ARG002 - `newest` tells at once which of them there are
        device: str,  # noqa: ARG002 - as above
        metrics: Collection[str],
    ) -> Collection[tuple[str, Kind]]:
        """Say that all may be there."""
        return any_of(metrics)

    def put(self, taken: Sequence[Taken]) -> list[Refusal]:
        """Write points; what the server rejects is found by halves, and the rest is written."""
        refusals: list[Refusal] = []
        self._put([one.reading for one in taken], 0, refusals)
        return refusals

    def points(self, spans: Sequence[Span]) -> list[list[tuple[int, Value]]]:
        """Return the points of each span."""
        plan, tables = self._read(Tier.RAW, spans)
        return [points_of(tables[place], span) if (place := plan.place(span)) in tables else [] for span in spans]

    def windows(self, tier: Tier, spans: Sequence[Span]) -> list[list[Window]]:
        """Return the windows of each span."""
        self._send_rows()
        plan, tables = self._read(tier, [span for span in spans if span.start < span.end])
        return [
            windows_of(tables[place], span) if span.start < span.end and (place := plan.place(span)) in tables else []
            for span in spans
        ]

    def newest(self, series: Sequence[Series]) -> list[int]:
        """Return the times of the newest points."""
        names = dict(newest_statements(series))
        found: dict[tuple[str, str, str, type], int] = {}
        for request in requests(iter(names)):
            for statement, table in self._ask(request):
                profile, metric, kind = names[statement]
                _, device, _ = statement.place(table)
                found[profile, device, metric, kind] = int(table.values[0][0] or 0)
        return [found.get((one.profile, one.device, one.metric, one.kind), NEVER) for one in series]

    def put_windows(
        self,
        tier: Tier,
        windows: Sequence[tuple[Series, Window]],
        *,
        anew: bool,  # noqa: ARG002 - what was written before is replaced
    ) -> None:
        """Write windows; they are sent when they are read, or with the commit."""
        self._rows += [(tier, series, window) for series, window in windows if window.count]

    def put_open(self, series: Sequence[Series]) -> None:
        """Write open windows."""
        for tier in ROLLUPS:
            self.put_windows(tier, [(one, one.open(tier)) for one in series], anew=True)

    def commit(self) -> None:
        """Send the windows."""
        self._send_rows()

    def refuses(self, deletion: Deletion) -> str | None:
        """Refuse single metrics, since the server deletes whole readings; and all where it knows no DELETE."""
        if deletion.metrics:
            return "InfluxDB deletes whole readings: name no metric, and all are deleted"
        measurement = identifier(measurement_of(DEFAULT_PROFILE, Tier.RAW))
        if not self._client.understands(f"DELETE FROM {measurement} WHERE time < 0"):
            return "this InfluxDB server does not know DELETE, as version 3 does not"
        return None

    def series_of(
        self,
        device: str,
        metrics: Collection[str],  # noqa: ARG002 - there are none, or it is refused
    ) -> Collection[tuple[str, str, Kind]]:
        """Return what the measurements that have the device have fields for."""
        found = self._client.query(f"SHOW MEASUREMENTS WHERE {tagged([to_tag(device)])}")
        names = [str(row[0]) for result in found for table in result.series for row in table.values]
        series: dict[tuple[str, str, Kind], None] = {}
        for at in range(0, len(names), MOST_STATEMENTS):
            some = names[at : at + MOST_STATEMENTS]
            results = self._client.query("; ".join(f"SHOW FIELD KEYS FROM {identifier(name)}" for name in some))
            for result in results:
                profile, tier = profile_of(some[result.statement_id])
                for field in [str(row[0]) for table in result.series for row in table.values]:
                    metric = metric_of(field) if tier is Tier.RAW else aggregate_of(field)[:2]
                    if metric is not None:
                        series[profile, *metric] = None
        return series

    def remove(self, tier: Tier, spans: Sequence[Span]) -> int:
        """Remove readings, or the rows of windows, with all that they hold of any metric."""
        self._send_rows()
        removed = 0
        apart = 1 if tier is Tier.RAW else MINUTE  # the rows of a window lie up to a minute behind its start
        for profile, device, start, end in {(one.profile, one.device, start, end) for one, start, end in spans}:
            times = f"time >= {-(-start // apart) * apart} AND time < {-(-end // apart) * apart}"
            measurement = identifier(measurement_of(profile, tier))
            condition = f"{tagged([to_tag(device)])} AND {times}"
            if tier is Tier.RAW:
                removed += self._count(measurement, condition)
            self._client.query(f"DELETE FROM {measurement} WHERE {condition}")
        return removed

    def _count(self, measurement: str, condition: str) -> int:
        counted = 0
        for result in self._client.query(f"SELECT count(*) FROM {measurement} WHERE {condition}"):
            for table in result.series:
                counts = dict(zip(table.columns[1:], table.values[0][1:], strict=True))
                counted += sum(int(count or 0) for name, count in counts.items() if name != f"count_{FLAGS}")
        return counted

    def reopen(self, series: Sequence[Series]) -> None:
        """Write open windows, which are rows like others."""
        self.put_open([one for one in series if one.newest != NEVER])

    def drop(self, profile: str, tier: Tier, before: int) -> int:
        """Drop what ended before the day of `before`; returns 1 if there was anything."""
        measurement = identifier(measurement_of(profile, tier))
        width = 0 if tier is Tier.RAW else WIDTHS.get(tier, _LONGEST_DAY)
        until = before - before % DAY - width
        old = self._client.query(f"SELECT * FROM {measurement} WHERE time < {until} LIMIT 1")
        if not any(result.series for result in old):
            return 0
        self._client.query(f"DELETE FROM {measurement} WHERE time < {until}")
        return 1

    def _put(self, readings: list[Reading], at: int, refusals: list[Refusal]) -> None:
        """Write readings, the first of which has the place `at`."""
        if not readings:
            return
        lines = self._lines.points(readings)
        half = len(readings) // 2
        if not half or len(lines) <= _MOST_BYTES:
            try:
                self._client.write(lines)
            except (RejectedError, TooLargeError) as error:
                if not half or _all_dropped(error, len(readings)):
                    refusals += [Refusal(at + index, str(error)) for index in range(len(readings))]
                    return
            else:
                return
        self._put(readings[:half], at, refusals)
        self._put(readings[half:], at + half, refusals)

    def _send_rows(self) -> None:
        rows, self._rows = self._rows, []
        if rows:
            self._put_rows(rows)

    def _put_rows(self, rows: list[Row]) -> None:
        """Write windows. Raises RejectedError if the server does not take one: its points then have to be seen to."""
        lines = self._lines.windows(rows, self._fences)
        half = len(rows) // 2
        if not half or len(lines) <= _MOST_BYTES:
            try:
                self._client.write(lines)
            except TooLargeError:
                if not half:
                    raise
            else:
                return
        self._put_rows(rows[:half])
        self._put_rows(rows[half:])

    def _read(self, tier: Tier, spans: Sequence[Span]) -> tuple[Plan, dict[tuple[str, str, int], Table]]:
        plan = Plan(tier, spans)
        return plan, {
            statement.place(table): table
            for request in requests(plan.statements())
            for statement, table in self._ask(request)
        }

    def _ask(self, request: list[Statement]) -> list[tuple[Statement, Table]]:
        results = self._client.query("; ".join(statement.text for statement in request))
        return [(request[result.statement_id], table) for result in results for table in result.series]


def _all_dropped(error: Exception, count: int) -> bool:
    """Whether the server says that it has dropped as many points as there were."""
    match = _DROPPED.search(str(error))
    return match is not None and int(match[1]) == count
