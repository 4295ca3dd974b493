"""Names and shapes of the streams, their consumers and buckets, and which partition a device belongs to.

Retention by interest keeps a message until every consumer named here has acknowledged it, so these consumers are
made together with their stream, before the first message. A consumer by partition is one for each: a message waits for
that of its own partition. No reading is ever discarded to make room: a full stream
refuses (`discard=new`), and whoever publishes holds what it has. So does UPLINK, since a device that has its PUBACK
believes that what it told will be heeded; what nobody has read for a week is too old for that. Nothing else must stop
the readings: were devices_api or alerting away for so long that PRESENCE, ACTIVITY or DERIVED is full, the oldest would
go. Derived values can be computed again, and after a day they are too old to fire anything.

A work queue gives each message to one of those who read it, who acknowledges it by itself: several processes may share
its consumer.
"""

import re
import zlib
from dataclasses import dataclass
from typing import Literal

DEFAULT_PARTITIONS = 16

MAX_PAYLOAD = 8 << 20
"""What the stream server has to take in one message, in bytes (`max_payload`)."""

HOUR_S = 3_600.0
DAY_S = 86_400.0
GIB = 1 << 30

ACK_WAIT_S = 300.0
"""After so long an unacknowledged message comes again, where its consumer does not say otherwise."""


@dataclass(frozen=True)
class Consumer:
    """A durable consumer; `by_partition`: one for each partition, named by `partition_consumer` for who owns that.

    What its reader leaves unacknowledged for `ack_wait` seconds comes again.
    """

    name: str
    by_partition: bool = False
    ack_wait: float = ACK_WAIT_S


@dataclass(frozen=True)
class Stream:
    """A stream as it is created; `max_age` in seconds (0: for ever), `max_bytes` on disk."""

    name: str
    subjects: str
    retention: Literal["interest", "limits", "workqueue"]
    discard: Literal["new", "old"]
    max_bytes: int
    max_age: float = 0.0
    consumers: tuple[Consumer, ...] = ()


PROCESSOR = "processor"
ALERTING = "alerting"
DEVICES_API = "devices_api"
INGEST = "ingest"

TELEMETRY = Stream(
    "TELEMETRY",
    "telemetry.*",
    "interest",
    "new",
    16 * GIB,
    consumers=(Consumer(PROCESSOR, by_partition=True), Consumer(ALERTING, by_partition=True)),
)
DERIVED = Stream(
    "DERIVED",
    "derived.*",
    "interest",
    "old",
    4 * GIB,
    max_age=DAY_S,
    consumers=(Consumer(ALERTING, by_partition=True),),
)
PRESENCE = Stream("PRESENCE", "presence.*", "interest", "old", GIB, consumers=(Consumer(DEVICES_API),))
DEADLETTERS = Stream("DEADLETTERS", "deadletters.>", "limits", "old", 4 * GIB, max_age=30 * DAY_S)
REPLAYS = Stream("REPLAYS", "replays", "workqueue", "new", GIB, consumers=(Consumer(INGEST),))

UPLINK = Stream(
    "UPLINK",
    "uplink.*",
    "workqueue",
    "new",
    4 * GIB,
    max_age=7 * DAY_S,
    consumers=(Consumer(DEVICES_API, ack_wait=30.0),),
)
ACTIVITY = Stream(
    "ACTIVITY",
    "activity",
    "workqueue",
    "old",
    GIB,
    max_age=HOUR_S,
    consumers=(Consumer(DEVICES_API, ack_wait=30.0),),
)

DEADLETTER_SLOTS = 4096
"""Into how many slots the devices' dead letters fall: anybody may invent a device id, and each subject costs the stream
server memory, so there is none for each device."""

DEVICES_BUCKET = "devices"
"""Key-value bucket with a DeviceRecord for each registered device, and a ProfileRecord for each profile.

Their keys are as `kv_key` and `profile_key` of contracts.devices give them."""

FAILURES_BUCKET = "computed_failures"
"""Key-value bucket with a ComputedFailure for each computed metric that fails; keys from `contracts.computed`."""

FAILURES_TTL_S = DAY_S
"""After so long without another failure an entry goes by itself."""

PARTITIONS_KEY = "sensorium.partitions"
"""Where a stream's metadata records how many partitions it was made with."""


def partition_of(device: str, partitions: int) -> int:
    """Partition of `device`, from 0 to `partitions` - 1; the same in every process, version and machine."""
    return zlib.crc32(device.encode()) % partitions


def partition_consumer(name: str, partition: int, epoch: int) -> str:
    """Name of the consumer `name` of `partition` for its owner of `epoch`; 0 for what is there before any owner."""
    return f"{name}-{partition}-e{epoch}"


def partition_and_epoch(name: str, consumer: str) -> tuple[int, int] | None:
    """Give what `partition_consumer` made `consumer` of, or None if that is not one of `name`."""
    found = re.fullmatch(re.escape(name) + r"-(\d{1,9})-e(\d{1,18})", consumer, re.ASCII)
    return (int(found[1]), int(found[2])) if found else None


def telemetry_subject(partition: int) -> str:
    """Subject of a partition's ReadingBatches."""
    return f"telemetry.{partition}"


def derived_subject(partition: int) -> str:
    """Subject of a partition's DerivedBatches."""
    return f"derived.{partition}"


def presence_subject(partition: int) -> str:
    """Subject of a partition's Presence messages."""
    return f"presence.{partition}"


def uplink_subject(partition: int) -> str:
    """Subject of a partition's Uplink messages: the device's, or the nonce's where there is no device yet."""
    return f"uplink.{partition}"


def deadletter_slot(device: str) -> int:
    """Slot of the dead letters of `device`, empty where they name none; the same in every process and version."""
    return partition_of(device, DEADLETTER_SLOTS)


def deadletter_subjects(reason: str = "*", device: str | None = None) -> tuple[str, str]:
    """Give filters that together cover the dead letters that have `reason` and are of `device`; None: of any.

    Others are among them: of devices in the same slot, and of before there were slots.
    """
    return f"deadletters.{reason}", f"deadletters.{reason}.{'*' if device is None else deadletter_slot(device)}"


def deadletter_subject(reason: str, device: str = "") -> str:
    """Subject of the dead letters that have `reason` and are of `device`, and of others in its slot."""
    return f"deadletters.{reason}.{deadletter_slot(device)}"
