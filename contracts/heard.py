"""Up to when devices have been heard: told by ingest in a bucket, and read by those to whom silence means something.

Who calls a device silent has to know that it would have been heard. Each ingest says up to when all that the broker had
for it is on the stream: it stands still while ingest, its connection to the broker, or the stream is away. Who reads
the stream adds how far it has read, with a `Mark` for each partition.
"""

from collections.abc import Callable

import msgspec
from nats.errors import Error as NatsError
from nats.js.errors import KeyNotFoundError
from nats.js.kv import KeyValue

from contracts.devices import kv_key
from contracts.jetstream import Link, ensure_bucket
from contracts.streams import DAY_S

BUCKET = "ingest_heard"
FORGET_S = 7 * DAY_S
"""After so long without another word an entry goes by itself."""

WAIT_S = 600.0
"""So long others wait for an ingest that is away without having left."""

EVERY_S = 1.0
"""How often each ingest tells."""

AWAY = (NatsError, TimeoutError)
"""What is raised where the stream server is away."""


class Heard(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one ingest says, as JSON: all that was received before `upto` (ns, its clock) is on the stream.

    0 where it cannot say yet. `left`: it has ended in good order, and nobody waits for it.
    """

    upto: int
    left: bool = False


class Telling:
    """The entry of the ingest `name` in the bucket. Both raise what is in AWAY."""

    def __init__(self, link: Link, name: str) -> None:
        self._link, self._key = link, kv_key(name)

    async def tell(self, heard: Heard) -> None:
        """Say how far it is."""
        await (await _open(self._link)).put(self._key, _encode(heard))

    async def told(self) -> int:
        """Return how far it was, 0 if nobody knows."""
        found = await _get(await _open(self._link), self._key)
        return 0 if found is None else found[0].upto


class Listening:
    """Reads the bucket. `clock` gives seconds and is never set back."""

    def __init__(self, link: Link, clock: Callable[[], float]) -> None:
        self._link, self._clock = link, clock
        self._seen: dict[str, tuple[int, float]] = {}  # revision, and since when it is the same

    async def upto(self) -> int:
        """Return up to when every ingest has heard, 0 if none says so. Raises what is in AWAY.

        One that does not tell any more, and has not left, still counts for ten minutes: what the broker holds for it
        has not been heard. If it is the only one, it counts for ever.
        """
        bucket = await _open(self._link)
        before = f"$KV.{BUCKET}."
        info = await self._link.js.stream_info(f"KV_{BUCKET}", subjects_filter=f"{before}>")
        keys = [subject.removeprefix(before) for subject in info.state.subjects or ()]
        now = self._clock()
        here: list[int] = []
        away: list[int] = []
        self._seen = {key: self._seen[key] for key in keys if key in self._seen}
        for key in keys:
            if (found := await _get(bucket, key)) is None or found[0].left:
                continue
            heard, revision = found
            if self._seen.get(key, (0, 0.0))[0] != revision:
                self._seen[key] = revision, now
            (here if now - self._seen[key][1] < WAIT_S else away).append(heard.upto)
        return min(here or away, default=0)


class Mark:
    """How far one partition's reader has heard: until `until`, in ns by ingest's clocks. Pure; 0 at first.

    The order matters. First the watermark is read from the bucket, and only then the stream is asked how far the
    partition goes: what was received before the watermark was on the stream when that was told, so it lies within what
    the stream then says. The other way around, a reading that came in between would be passed over. Once the reader has
    taken all up to there, it has heard up to the watermark. While it has not, later watermarks are not noted: under
    load it would never reach one. A partition that is read anew begins with another Mark.
    """

    def __init__(self) -> None:
        self.until = 0
        self._taken = 0
        self._noted: tuple[int, int] | None = None

    def note(self, watermark: int, sequence: int) -> None:
        """Note up to which sequence the partition went, as asked after `watermark` had been read."""
        if self._noted is None and watermark > self.until:
            self._noted = watermark, sequence
            self.reach(self._taken)

    def reach(self, taken: int) -> None:
        """Note that the reader has taken everything up to the sequence `taken`."""
        self._taken = max(self._taken, taken)
        if self._noted is not None and self._taken >= self._noted[1]:
            self.until, self._noted = self._noted[0], None


async def _open(link: Link) -> KeyValue:
    return await ensure_bucket(link.js, BUCKET, FORGET_S)


async def _get(bucket: KeyValue, key: str) -> tuple[Heard, int] | None:
    try:
        entry = await bucket.get(key)
    except KeyNotFoundError:
        return None
    try:
        return _decode(entry.value or b""), entry.revision or 0
    except msgspec.MsgspecError:
        return Heard(0), entry.revision or 0  # of a version that is not known here: nor is how far it has heard


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Heard).decode
