"""Every metric of ingest."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ingest.cycle import Cycle


class Metrics:
    """Counted a cycle at a time, so that a message costs nothing here."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._messages = Counter(
            "ingest_messages",
            "Moves by one for each message once what became of it is on disk: stored, rejected or ignored, and why",
            ["outcome", "reason"],
            registry=self.registry,
        )
        self._readings = Counter(
            "ingest_readings_stored", "Moves by one for each reading that the stream has stored", registry=self.registry
        )
        self._dead_letters = Counter(
            "ingest_dead_letters",
            "Moves by one for each message, or part of one, that was rejected and kept",
            ["reason"],
            registry=self.registry,
        )
        self._batches = Counter(
            "ingest_batches", "Moves by one for each batch that the stream has stored", registry=self.registry
        )
        self._flags = Counter(
            "ingest_flags", "Moves by one for each flag that a stored reading carries", ["flag"], registry=self.registry
        )
        self._missing = Counter(
            "ingest_nulls", "Moves by one for each null, which is no value and is not stored", registry=self.registry
        )
        self.write_seconds = Histogram(
            "ingest_write_seconds",
            "Moves with each cycle: how long the stream took to store it",
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 30),
            registry=self.registry,
        )
        self.retries = Counter(
            "ingest_write_retries", "Moves when the stream did not take a cycle, which is held", registry=self.registry
        )
        self.held = Gauge(
            "ingest_held_messages", "Messages taken from the broker and not acknowledged now", registry=self.registry
        )
        self.devices = Gauge("ingest_devices", "Devices in this copy of the registry now", registry=self.registry)
        self.connected = Gauge(
            "ingest_broker_connected", "1 while there is a session with the broker, else 0", registry=self.registry
        )
        self.connections = Counter(
            "ingest_broker_connections", "Moves with each connection to the broker", registry=self.registry
        )
        self.unacknowledged = Counter(
            "ingest_messages_unacknowledged",
            "Moves by one for each stored message whose connection had gone: the broker sends it again",
            registry=self.registry,
        )

    def count(self, cycle: Cycle) -> None:
        """Count a cycle that the stream has stored."""
        self._readings.inc(cycle.readings)
        self._batches.inc(cycle.batches)
        self._missing.inc(cycle.missing)
        for (outcome, reason), number in cycle.outcomes.items():
            self._messages.labels(outcome, reason).inc(number)
        for reason, number in cycle.rejections.items():
            self._dead_letters.labels(reason).inc(number)
        for flag, number in cycle.flags.items():
            self._flags.labels(flag).inc(number)
