"""The job that imports telemetry: points of a file become readings on the stream, which are stored as all are."""

import asyncio
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from nats.js.errors import NotFoundError
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.consumers import partitions_of
from contracts.jetstream import NotAcknowledgedError
from contracts.readings import READING_BATCH, Reading, ReadingBatch, Value
from contracts.streams import TELEMETRY, partition_of, telemetry_subject
from devices_api.errors import UnavailableError
from devices_api.jobs.job_runner import Doing
from devices_api.jobs.jobs import BadFileError, Job, Rejected, Step
from devices_api.jobs.point_files import Point, open_points
from devices_api.registry.addressed import Addressed
from devices_api.stream import AWAY, NAME, StreamServer
from devices_api.telemetry.exporting import Format

AT_ONCE = 5000
"""Points of a step."""
MOST_ROWS = 20_000_000
_BATCH_BYTES = 1 << 20
_READING_BYTES = 64
_UNKNOWN = "no device with this id is registered"


class TelemetryImport:
    """Publishes points of devices that whoever asked sees; a step's are on the stream's disk before it is noted.

    A step that is done once more publishes the same, under the same names: the stream drops what comes again soon, and
    later it is stored as what is there already. Values are taken as they are.
    """

    def __init__(
        self, job: Job, path: Path, addressed: Addressed, stream: StreamServer, now: Callable[[], int]
    ) -> None:
        self._addressed, self._stream, self._now = addressed, stream, now
        self._file = open_points(path, Format(job.params["format"]))
        self._points = self._file.points(job.position.get("end"))
        self._partitions = 0

    async def ahead(self, job: Job) -> Doing:
        """Read points and publish them."""
        total = await asyncio.to_thread(self._counted) if job.total is None else job.total
        points = await asyncio.to_thread(list, itertools.islice(self._points, AT_ONCE))
        ids = sorted({point.device for point in points if not point.problem})
        profiles = await self._addressed.profiles(ids, job.by.view)
        numbered = list(enumerate(points, job.done + 1))
        rejected = [
            Rejected(number, point.device, point.problem or _UNKNOWN)
            for number, point in numbered
            if point.problem or point.device not in profiles
        ]
        good = [point for point in points if not point.problem and point.device in profiles]
        if good and not job.dry_run:
            await self._publish(job, good, profiles)
        position = {"end": points[-1].end} if points else job.position
        step = Step(position, len(points), len(good), rejected, total, ended=len(points) < AT_ONCE)

        async def do(_: AsyncConnection, __: int) -> Step:
            return step

        return do

    def _counted(self) -> int:
        total = self._file.count()
        if total > MOST_ROWS:
            raise BadFileError(f"the file has {total} rows, and at most {MOST_ROWS} are taken")
        return total

    async def _publish(self, job: Job, points: Sequence[Point], profiles: Mapping[str, str]) -> None:
        if not self._stream.ready:
            raise UnavailableError(NAME)
        try:
            if not self._partitions:
                self._partitions = partitions_of(await self._stream.link.js.stream_info(TELEMETRY.name))
            batches = await asyncio.to_thread(list, self._batches(job, points, profiles))
            sending = (
                self._stream.publisher.publish(telemetry_subject(of), data, name=f"{job.id}-{job.done}-{number}")
                for number, (of, data) in enumerate(batches)
            )
            results = await asyncio.gather(*sending, return_exceptions=True)
            for failure in results:  # all are heard of before the first is raised
                if failure is not None:
                    raise failure
        except NotFoundError as error:
            raise UnavailableError(f"stream {TELEMETRY.name}") from error
        except (*AWAY, NotAcknowledgedError) as error:
            raise UnavailableError(NAME) from error

    def _batches(self, job: Job, points: Sequence[Point], profiles: Mapping[str, str]) -> Iterator[tuple[int, bytes]]:
        """Give the batches of each partition, none much larger than it has to be."""
        values: dict[tuple[str, int], dict[str, Value]] = {}
        for point in points:
            values.setdefault((point.device, point.ts), {})[point.metric] = point.value
        now, flags = self._now(), {"imported": job.id}
        parts: dict[int, list[Reading]] = {}
        for (device, ts), of in values.items():
            reading = Reading(device, ts, now, of, flags, profiles[device])
            parts.setdefault(partition_of(device, self._partitions), []).append(reading)
        for partition, readings in parts.items():
            some: list[Reading] = []
            size = 0
            for reading in readings:
                some.append(reading)
                size += _size(reading)
                if size > _BATCH_BYTES:
                    yield partition, READING_BATCH.encode(ReadingBatch(1, partition, some))
                    some, size = [], 0
            if some:
                yield partition, READING_BATCH.encode(ReadingBatch(1, partition, some))

    def close(self) -> None:
        """Close the file."""
        self._points.close()
        self._file.close()


def _size(reading: Reading) -> int:
    """Tell about how many bytes a reading has."""
    texts = sum(4 * len(value) for value in reading.values.values() if isinstance(value, str))
    return _READING_BYTES + len(reading.device) + texts + sum(16 + len(metric) for metric in reading.values)
