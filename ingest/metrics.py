"""Every metric of ingest."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ingest.cycle import Cycle

FOLLOWED = {
    "held_messages": "Follows how many messages are taken and not acknowledged now",
    "directory_devices": "Follows how many registered devices are known now",
    "directory_age_seconds": "Follows how long ago the copy of the device records was last confirmed",
    "memory_entries": "Follows how much decoders remember of devices: aliases, names, units",
    "memory_forgotten": "Follows how many of these entries had to be forgotten, for their number, since the start",
    "activity_uncounted": "Follows how many stored messages are in no Activity, for too many devices, since the start",
    "raw_displaced": "Follows how many raw numbers keep_raw could not keep, for a metric of that name, since the start",
    "lease_held": "Is 1 while messages whose order matters are this process's to take, else 0",
    "heard_age_seconds": "Follows how long ago it was up to when all that the broker had for us is on the stream",
    "broker_connected": "Is 1 while there is a session with the broker, else 0",
}
"""Gauges, and what each follows."""


class Metrics:
    """Counted a cycle at a time, so that a message costs nothing here."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._messages = self._counter(
            "messages",
            "Moves by one for each message, once what became of it is on disk: stored, rejected or ignored. The reason"
            " says why; of a stored message it is empty, or why a part of it was rejected",
            "outcome",
            "reason",
        )
        self._readings = self._counter("readings_stored", "Moves by one for each reading that the stream has stored")
        self._letters = self._counter(
            "dead_letters", "Moves by one for each message that was rejected, whole or in part, and kept", "reason"
        )
        self._flags = self._counter(
            "flagged_readings",
            "Moves by one for each stored reading with the flag: clock, its device's time could not be true;"
            " zone_assumed, it named no zone; health, it is about the device itself; others as the decoder says",
            "flag",
        )
        self._ignored = self._counter(
            "ignored",
            "Moves by one for each ignored message, by the decoder that read it and why it makes nothing",
            "decoder",
            "reason",
        )
        self._left_out = self._counter(
            "left_out",
            "Moves by one for each part of a message that is in order and not stored: no_value, a value that says it is"
            " none; retained_untimed, a retained reading without a time of its own; others as for ignored messages",
            "reason",
        )
        self._batch_readings = Histogram(
            "ingest_batch_readings",
            "Moves with each batch that the stream has stored, by how many readings it holds",
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
            registry=self.registry,
        )
        self._write_seconds = Histogram(
            "ingest_write_seconds",
            "Moves with each cycle that the stream has stored, by how long that took, held time included",
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 30),
            registry=self.registry,
        )
        self.refused = self._counter(
            "refused_writes", "Moves each time the stream did not take a message: it is held and written again"
        )
        self.connections = self._counter("broker_connections", "Moves with each connection to the broker")
        self.redelivered = self._counter(
            "redelivered", "Moves by one for each message that the broker sent again while it was held: taken only once"
        )
        self.unacknowledged = self._counter(
            "unacknowledged",
            "Moves by one for each message that was stored when its connection had gone: the broker sends it again",
        )
        self.unsent = self._counter(
            "unsent",
            "Moves by one for each message to a device that was dropped: disconnected, there was no connection to the"
            " broker; full, too much was waiting for it; bad_topic, MQTT has no such topic",
            "reason",
        )

    def watch(self, **read: Callable[[], float]) -> None:
        """Read these, which are the names of FOLLOWED, when somebody asks for them."""
        for name, meaning in FOLLOWED.items():
            Gauge(f"ingest_{name}", meaning, registry=self.registry).set_function(read[name])

    def stored(self, cycle: Cycle, seconds: float) -> None:
        """Count a cycle that the stream has stored."""
        cycle.settle()
        self._write_seconds.observe(seconds)
        self._readings.inc(cycle.readings)
        for (outcome, reason), number in cycle.outcomes.items():
            self._messages.labels(outcome, reason).inc(number)
        for reason, number in cycle.letters.items():
            self._letters.labels(reason).inc(number)
        for flag, number in cycle.flags.items():
            self._flags.labels(flag).inc(number)
        for (decoder, why), number in cycle.ignored.items():
            self._ignored.labels(decoder, why).inc(number)
        for why, number in cycle.left_out.items():
            self._left_out.labels(why).inc(number)
        for size in cycle.batches:
            self._batch_readings.observe(size)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"ingest_{name}", meaning, labels, registry=self.registry)
