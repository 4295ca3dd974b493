"""Every metric of the simulators."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge


class Metrics:
    """Metrics of one instance, on a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.published = Counter(
            "simulators_published", "Messages published, when handed to the operating system", registry=self.registry
        )
        self.acked = Counter(
            "simulators_acknowledged", "Messages acknowledged, when the broker's PUBACK comes", registry=self.registry
        )
        self.faulty = Counter(
            "simulators_faulty", "Messages planned in which something is wrong on purpose", registry=self.registry
        )
        self.reconnects = Counter(
            "simulators_reconnects", "Connections that came back after they were lost", registry=self.registry
        )
        self.unacked = Gauge(
            "simulators_unacked", "Messages now waiting for the broker's PUBACK", registry=self.registry
        )
        self.connected = Gauge(
            "simulators_connected", "MQTT connections that the broker accepts now", registry=self.registry
        )
        self.ledger_queue = Gauge(
            "simulators_ledger_queue", "Entries now waiting to be written to the ledger", registry=self.registry
        )
        self.behind = Gauge(
            "simulators_behind_seconds", "How late the last message was sent, by its schedule", registry=self.registry
        )
        self.done = Gauge(
            "simulators_done", "1 once the last message of the schedule is published", registry=self.registry
        )

    def watch(self, unacked: Callable[[], float], connected: Callable[[], float]) -> None:
        """Read the gauges that are no events from where the numbers are, whenever someone asks for metrics."""
        self.unacked.set_function(unacked)
        self.connected.set_function(connected)
